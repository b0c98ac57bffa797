package check_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/handover-controller/handover/cmd/handover/check"
)

func text(t *testing.T, r check.Report) string {
	t.Helper()
	var b strings.Builder
	paint := func(_ check.Level, text string) string { return text }
	if err := r.WriteText(&b, paint); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteText(t *testing.T) {
	report := check.Report{
		{Level: check.OK, Check: "a", Found: "all is well"},
		{Level: check.Error, Check: "b", Service: "main", File: "x.yml", Line: 3, Found: "broken", Why: strings.Repeat("because ", 20), Do: "mend it"},
	}
	because := func(n int) string { return strings.TrimSpace(strings.Repeat("because ", n)) }
	want := "ok      all is well\n" +
		"error   x.yml:3: service main: broken\n" +
		"        why: " + because(11) + "\n             " + because(9) + "\n" +
		"        do:  mend it\n" +
		"\n1 error, 0 warnings, 0 notes\n"
	if got := text(t, report); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// Names come from files, and are printed to terminals.
func TestWriteTextControls(t *testing.T) {
	got := text(t, check.Report{{Level: check.Note, Service: "x\x1b[31m\x07\u009b1m", Found: "a\nb"}})
	if !strings.HasPrefix(got, "note    service x[31m1m: a b\n") {
		t.Errorf("got %q", got)
	}
}

func TestExitStatus(t *testing.T) {
	for want, levels := range map[int][]check.Level{
		0: {check.OK, check.Note}, 1: {check.Warning, check.Error, check.OK}, 2: {check.Note, check.Warning},
	} {
		var r check.Report
		for _, l := range levels {
			r.Add(check.Finding{Level: l})
		}
		if got := r.ExitStatus(); got != want {
			t.Errorf("%v: got %d, want %d", levels, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	for _, r := range []check.Report{nil, {{Level: check.Warning, Check: "a.b", Found: "<x>", File: "f", Line: 1}}} {
		var b strings.Builder
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Worst    check.Level  `json:"worst"`
			Findings check.Report `json:"findings"`
		}
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatal(err)
		}
		if got.Findings == nil || len(got.Findings) != len(r) || got.Worst != r.Worst() {
			t.Errorf("%s is not %v", b.String(), r)
		}
		if len(r) > 0 && (got.Findings[0] != r[0] || !strings.Contains(b.String(), "<x>")) {
			t.Errorf("%s is not %v", b.String(), r)
		}
	}
}
