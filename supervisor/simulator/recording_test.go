package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

// happening is an engine's event, recorded or simulated. The container is named
// by its release: A, B or C; or A' for another container of the same release.
type happening struct {
	ms   int
	what string // such as "kill 15 A"
}

// said is an answer that differs from the one before it: what it says, since
// when.
type said struct {
	ms   int
	took int // of the request
	line string
}

// course is what happened, by engine and endpoint.
type course struct {
	engine []happening
	says   map[string][]said
	truth  map[string][]string // simulated only: all that ever was, also for a moment
	end    int                 // ms
}

// lines are the distinct answers of an endpoint in their order.
func (c *course) lines(endpoint string) []string {
	var all []string
	for _, s := range c.says[endpoint] {
		if s.line != unanswered {
			all = append(all, s.line)
		}
	}
	return slices.Compact(all)
}

// brief adds the lines of an endpoint that were seen for a moment only: whether
// a recorder sees them at all is chance.
func (c *course) brief(endpoint string, all map[string]bool) {
	const moment = 250 // ms; a recorder asks every 50–100 ms
	for i, s := range c.says[endpoint] {
		until := c.end
		if i+1 < len(c.says[endpoint]) {
			// While the engine is busy, an answer takes until it is not, and
			// nothing is known of the time before.
			until = c.says[endpoint][i+1].ms - c.says[endpoint][i+1].took
		}
		if until-s.ms < moment {
			all[kind(s.line)] = true
		}
	}
}

// kind is a line without an image that has nothing to do with it, and with the
// third release taken for the second.
func kind(line string) string {
	line = strings.TrimSuffix(line, ", 503=1003 Downloaded")
	return strings.NewReplacer("c:", "b:", "503", "502", "1003", "1002").Replace(line)
}

// lasting are the lines of an endpoint that are not brief.
func (c *course) lasting(endpoint string, brief map[string]bool) []string {
	return slices.Compact(slices.DeleteFunc(c.lines(endpoint), func(line string) bool { return brief[kind(line)] }))
}

// unanswered stands for a request without an answer.
const unanswered = ""

const (
	viewPath     = "/v2/state/status"
	targetPath   = "/v2/applications/state"
	releasesPath = "/v2/applications/1234/state"
)

var endpoints = []string{viewPath, targetPath, releasesPath}

// ask asks an endpoint through the real client and says its answer in one line.
func ask(ctx context.Context, c *supervisor.Client, endpoint string) (string, error) {
	switch endpoint {
	case viewPath:
		v, err := c.View(ctx)
		var containers []string
		for _, each := range v.Containers {
			containers = append(containers, fmt.Sprintf("%d %s", each.ImageID, each.Status))
		}
		return fmt.Sprintf("%s %.1s: %s", v.AppState, v.Commit, strings.Join(containers, ", ")), err
	case targetPath:
		t, err := c.Target(ctx, "1234", "main")
		if t == (supervisor.Target{}) {
			return "none", err
		}
		return fmt.Sprintf("%.1s: %d %s [%s]", t.Commit, t.ReleaseID, t.Status, t.UpdateStatus), err
	default:
		r, err := c.Releases(ctx, "1234")
		var images []string
		for _, image := range slices.Sorted(maps.Keys(r.ByImage)) {
			images = append(images, fmt.Sprintf("%d=%d %s", image, r.ByImage[image].ReleaseID, r.ByImage[image].Status))
		}
		return fmt.Sprintf("%.1s: %s", r.Commit, strings.Join(images, ", ")), err
	}
}

// record is one line of a recording.
type record struct {
	Ms     int             `json:"ms"`
	Get    string          `json:"get"`
	Took   int             `json:"took_ms"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`

	Docker    string `json:"docker"`
	Container string `json:"container"`
	Name      string `json:"name"`
	Signal    int    `json:"signal"`
	Exit      int    `json:"exit"`
}

func readRecords(name string) []record {
	data, err := os.ReadFile(filepath.Join("..", "testdata", name))
	Expect(err).NotTo(HaveOccurred())
	var all []record
	for line := range bytes.Lines(data) {
		var r record
		Expect(json.Unmarshal(line, &r)).To(Succeed())
		all = append(all, r)
	}
	return all
}

// names gives containers their names A, B, C, A'.
type names struct {
	byID map[string]string
	used map[string]bool
}

func newNames() *names { return &names{byID: map[string]string{}, used: map[string]bool{}} }

// first names the only container of the service of a first answer.
func (n *names) first(body []byte) {
	var view struct {
		Containers []struct {
			ServiceName string `json:"serviceName"`
			ContainerID string `json:"containerId"`
		} `json:"containers"`
	}
	Expect(json.Unmarshal(body, &view)).To(Succeed())
	n.byID, n.used = map[string]string{}, map[string]bool{"A": true}
	for _, c := range view.Containers {
		if c.ServiceName == "main" {
			n.byID[c.ContainerID[:12]] = "A"
		}
	}
	Expect(n.byID).To(HaveLen(1))
}

func (n *names) of(id, container string) string {
	if strings.HasPrefix(container, "proxy_") {
		return "proxy" // the other service's
	}
	if n.byID[id] == "" {
		parts := strings.Split(strings.TrimPrefix(container, "old_"), "_")
		name := strings.ToUpper(parts[len(parts)-1][:1])
		for n.used[name] {
			name += "'"
		}
		n.byID[id], n.used[name] = name, true
	}
	return n.byID[id]
}

// recorded reads a recording.
func recorded(name string) *course {
	GinkgoHelper()
	c := &course{says: map[string][]said{}}
	called := &names{used: map[string]bool{}}
	for _, r := range readRecords(name) {
		c.end = r.Ms
		switch {
		case r.Docker != "":
			what := r.Docker + " " + called.of(r.Container, r.Name)
			switch r.Docker {
			case "kill":
				what = fmt.Sprintf("kill %d %s", r.Signal, called.of(r.Container, r.Name))
			case "die":
				what = fmt.Sprintf("die %d %s", r.Exit, called.of(r.Container, r.Name))
			}
			c.engine = append(c.engine, happening{r.Ms, what})
		case slices.Contains(endpoints, r.Get) && r.Status == http.StatusOK:
			if called.byID == nil && r.Get == viewPath {
				called.first(r.Body)
			}
			c.say(r.Get, r.Ms, r.Took, read(r.Get, r.Body))
		}
	}
	// Events of the engine and of the recorder do not come quite in order.
	slices.SortStableFunc(c.engine, func(a, b happening) int { return a.ms - b.ms })
	c.end += 1000
	return c
}

// read says an answer in one line.
func read(endpoint string, body []byte) string {
	client, err := supervisor.NewClient(supervisor.Options{Address: "http://127.0.0.1", Transport: replying{body}})
	Expect(err).NotTo(HaveOccurred())
	line, err := ask(context.Background(), client, endpoint)
	Expect(err).NotTo(HaveOccurred())
	return line
}

// say notes an answer, if it is another one than before.
func (c *course) say(endpoint string, ms, took int, line string) {
	all := c.says[endpoint]
	if len(all) == 0 || all[len(all)-1].line != line {
		c.says[endpoint] = append(all, said{ms, took, line})
	}
}

// among tells whether lines are among others, in this order.
func among(lines, others []string) bool {
	for _, line := range lines {
		i := slices.Index(others, line)
		if i < 0 {
			return false
		}
		others = others[i+1:]
	}
	return true
}

// replying answers everything with one body.
type replying struct{ body []byte }

func (r replying) RoundTrip(q *http.Request) (*http.Response, error) {
	recorder := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: q,
		ContentLength: int64(len(r.body)), Body: readCloser{bytes.NewReader(r.body)},
	}
	return recorder, nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
