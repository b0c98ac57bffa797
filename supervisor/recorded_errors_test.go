package supervisor_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

// reply is one section of errors.txt: a request, and the bytes of its answer.
type reply struct{ name, method, path, raw string }

func replies(version string) []reply {
	data, err := os.ReadFile(filepath.Join("testdata", version, "errors.txt"))
	if err != nil {
		panic(err)
	}
	heading := regexp.MustCompile(`(?m)^### (\S+): (\S+) (\S+)  hdr='.*'\n`)
	text := string(data)
	at := heading.FindAllStringSubmatchIndex(text, -1)
	var all []reply
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		all = append(all, reply{name: text[m[2]:m[3]], method: text[m[4]:m[5]], path: text[m[6]:m[7]], raw: text[m[1]:end]})
	}
	return all
}

var _ = Describe("A recorded error", func() {
	const good = supervisor.Kind("")
	expected := map[string]struct {
		kind   supervisor.Kind
		status int
		says   string
	}{
		"nokey":                 {supervisor.KindUnauthorized, 401, "BALENA_SUPERVISOR_API_KEY"},
		"badkey":                {supervisor.KindUnauthorized, 401, "BALENA_SUPERVISOR_API_KEY"},
		"nokey-ping":            {kind: good},
		"nokey-healthy":         {supervisor.KindMalformed, 200, "not a list of containers"},
		"nokey-version":         {supervisor.KindUnauthorized, 401, "io.balena.features.supervisor-api"},
		"key-as-query":          {kind: good},
		"ApiKey-scheme":         {kind: good},
		"unknown-app-svckey":    {supervisor.KindNotFound, 409, "Application ID does not exist: 9999"},
		"globalkey-unknown-app": {supervisor.KindNotFound, 409, "Application ID does not exist: 9999"},
		"nan-app":               {supervisor.KindNotFound, 400, "Invalid application ID: abc"},
		"v1-unknown-app":        {supervisor.KindUnauthorized, 401, "Application is not available"},
		"wrong-path":            {supervisor.KindNotFound, 404, "a page of HTML"},
		"wrong-path-nokey":      {supervisor.KindUnauthorized, 401, "rotated"},
		"nokey-wrongmethod":     {supervisor.KindNotFound, 404, "a page of HTML"},
		"wrong-service":         {supervisor.KindServer, 503, "Could not find service with that name"},
		"good-service":          {supervisor.KindMalformed, 200, `no array "containers"`},
		"local-target":          {supervisor.KindMalformed, 200, `no array "containers"`},
		"device-name":           {supervisor.KindMalformed, 200, `no array "containers"`},
	}

	// ask uses the method for the path, and View for the paths of no method.
	ask := func(ctx context.Context, c *supervisor.Client, path string) error {
		var err error
		path, _, _ = strings.Cut(path, "?")
		app, isApp := strings.CutPrefix(path, "/v2/applications/")
		switch {
		case path == "/ping":
			err = c.Ping(ctx)
		case path == "/v2/version":
			_, err = c.Version(ctx)
		case path == "/v2/applications/state":
			_, err = c.Target(ctx, "1234", "main")
		case isApp:
			_, err = c.Releases(ctx, strings.TrimSuffix(app, "/state"))
		default:
			_, err = c.View(ctx)
		}
		return err
	}

	for _, version := range []string{"14.13.9", "19.0.5"} {
		for _, r := range replies(version) {
			It(version+" "+r.name+": "+r.method+" "+r.path, func(ctx SpecContext) {
				Expect(expected).To(HaveKey(r.name))
				want := expected[r.name]
				requests := make(chan string, 2)
				c := client(serve(func(w http.ResponseWriter, q *http.Request) {
					requests <- q.Header.Get("Authorization")
					hijack(r.raw)(w, q)
				}))
				err := ask(ctx, c, r.path)
				if want.kind == good {
					Expect(err).NotTo(HaveOccurred())
					return
				}
				e := asked(err)
				Expect(e.Kind).To(Equal(want.kind))
				Expect(e.StatusCode).To(Equal(want.status))
				Expect(e.Error()).To(ContainSubstring(want.says))
				Expect(requests).To(Receive(HavePrefix("Bearer ")))
			})
		}
	}

	It("is never a view without containers", func(ctx SpecContext) {
		for _, version := range []string{"14.13.9", "19.0.5"} {
			for _, r := range replies(version) {
				v, err := client(serve(hijack(r.raw))).View(ctx)
				Expect(err).To(HaveOccurred(), r.name)
				Expect(v).To(Equal(supervisor.View{}))
			}
		}
	})
})
