package supervisor_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/handover-controller/handover/supervisor"
)

// seed adds what was recorded of an endpoint, every error, and some nonsense.
func seed(f *testing.F, endpoint string, more ...string) {
	for _, name := range recordings() {
		for _, r := range readRecording(name) {
			if r.Get == endpoint {
				f.Add(r.bytes())
			}
		}
	}
	for _, version := range []string{"14.13.9", "19.0.5"} {
		for _, r := range replies(version) {
			_, body, _ := strings.Cut(r.raw, "\r\n\r\n")
			f.Add([]byte(body))
		}
	}
	for _, each := range append(more, "", "null", "[]", "{}", `{"status":"`+key+`"}`, `{"message":"`+key+`\n"}`) {
		f.Add([]byte(each))
	}
}

// wellBehaved looks at what is promised of every error about an answer.
func wellBehaved(t *testing.T, op string, err error, kinds ...supervisor.Kind) {
	t.Helper()
	var e *supervisor.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	if e.Op != op || !slices.Contains(kinds, e.Kind) {
		t.Errorf("%s, %s: %v", e.Op, e.Kind, e)
	}
	text := strings.ToLower(e.Error())
	if strings.Contains(text, key) || strings.ContainsAny(text, "\n\r\x1b") || len(text) > 800 {
		t.Errorf("unfit to be shown: %q", e.Error())
	}
}

func FuzzView(f *testing.F) {
	seed(f, "/v2/state/status", `{"containers":[]}`, `{"containers":[{}]}`, `{"containers":[{"containerId":7}]}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := answering(200, string(body)).View(context.Background())
		if err != nil {
			wellBehaved(t, "view", err, supervisor.KindMalformed)
			if v.Containers != nil {
				t.Error("an error with containers")
			}
			return
		}
		if v.Containers == nil {
			t.Error("a view without a list")
		}
		// No entry is lost, as far as another reading of JSON tells.
		var other map[string]any
		if err := json.Unmarshal(body, &other); err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		lists := 0
		for name := range other {
			if strings.EqualFold(name, "containers") {
				lists++
			}
		}
		if list, ok := other["containers"].([]any); ok && lists == 1 && len(list) != len(v.Containers) {
			t.Errorf("%d of %d containers", len(v.Containers), len(list))
		}
		for _, c := range v.Containers {
			if c.Status.Running() && !c.Status.MayServe() {
				t.Errorf("%q runs, but may not serve", c.Status)
			}
			if !slices.Contains(v.Of(c.AppID, c.Service), c) {
				t.Errorf("%+v is not of its own service", c)
			}
			if _, found := v.Find(c.ID); found != (c.ID != "") {
				t.Errorf("%q is found: %t", c.ID, found)
			}
		}
		of := v.Of("1234", "main")
		for i := 1; i < len(of); i++ {
			if of[i].CreatedAt.After(of[i-1].CreatedAt) {
				t.Error("not the newest first")
			}
		}
	})
}

func FuzzReleases(f *testing.F) {
	seed(f, "/v2/applications/1234/state", `{"local":{"1234":{"services":{"x":{}}}}}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := answering(200, string(body)).Releases(context.Background(), "1234")
		if err != nil {
			wellBehaved(t, "releases", err, supervisor.KindMalformed, supervisor.KindNotFound)
			if r.ByImage != nil {
				t.Error("an error with images")
			}
			return
		}
		if r.ByImage == nil {
			t.Error("releases without a map")
		}
	})
}

func FuzzTarget(f *testing.F) {
	seed(f, "/v2/applications/state", `{"status":{"appId":"1234","services":{"main":{}}}}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		c := answering(200, string(body))
		target, err := c.Target(context.Background(), "1234", "main")
		if err != nil {
			wellBehaved(t, "target", err, supervisor.KindMalformed)
			if target != (supervisor.Target{}) {
				t.Error("an error with a target")
			}
		}
		if none, err := c.Target(context.Background(), "", "main"); err == nil && none != (supervisor.Target{}) {
			t.Error("a target of no app")
		}
	})
}
