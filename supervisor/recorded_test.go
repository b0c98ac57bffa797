package supervisor_test

import (
	"bufio"
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
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

// record is one line of a recording: an answer of an endpoint (Get) or an event
// of the Docker engine.
type record struct {
	Get    string          `json:"get"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`

	Docker    string `json:"docker"`
	Container string `json:"container"` // the first 12 digits
}

// bytes is the body as it was sent: JSON, or a line of text.
func (r record) bytes() []byte {
	var text string
	if json.Unmarshal(r.Body, &text) == nil {
		return []byte(text)
	}
	return r.Body
}

// recordings are the names of all recordings, such as 19.0.5/hand-over.jsonl.
func recordings() []string {
	paths, err := filepath.Glob("testdata/*/*.jsonl")
	if err != nil || len(paths) == 0 {
		panic(fmt.Sprint("no recordings: ", err))
	}
	for i, path := range paths {
		paths[i] = strings.TrimPrefix(path, "testdata/")
	}
	return paths
}

func readRecording(name string) []record {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		panic(err)
	}
	var records []record
	for line := range bytes.Lines(data) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			panic(err)
		}
		records = append(records, r)
	}
	return records
}

// player is a Supervisor that says what a recorded one said last.
type player struct {
	mu   sync.Mutex
	last map[string]record
}

func (p *player) play(r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[r.Get] = r
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+key {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	p.mu.Lock()
	said, ok := p.last[r.URL.Path]
	p.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(said.Status)
	_, _ = w.Write(said.bytes())
}

// story is what the client made of one recording, answer by answer.
type story struct {
	views    []supervisor.View
	targets  []supervisor.Target
	releases []supervisor.Releases
	// created are the containers in the order in which Docker made them, as
	// far as that is recorded.
	created []string
}

// replay asks for every recorded answer over a real connection.
func replay(ctx context.Context, name string) story {
	GinkgoHelper()
	var s story
	p := &player{last: map[string]record{}}
	c := client(serve(p.ServeHTTP))
	for _, r := range readRecording(name) {
		p.play(r)
		switch {
		case r.Docker == "create":
			s.created = append(s.created, r.Container)
		case r.Get == "/v2/state/status":
			v, err := c.View(ctx)
			Expect(err).NotTo(HaveOccurred())
			s.views = append(s.views, v)
		case r.Get == "/v2/applications/state":
			t, err := c.Target(ctx, "1234", "main")
			Expect(err).NotTo(HaveOccurred())
			s.targets = append(s.targets, t)
		case r.Get == "/v2/applications/1234/state":
			releases, err := c.Releases(ctx, "1234")
			Expect(err).NotTo(HaveOccurred())
			s.releases = append(s.releases, releases)
		}
	}
	return s
}

// services are those of the app in a recording; the one that is replaced is the
// first.
func services(name string) []string {
	if name == "19.0.5/two-services.jsonl" {
		return []string{"main", "proxy"}
	}
	return []string{"main"}
}

// lines tells the story as sequences.txt does.
func (s story) lines() []string {
	var lines []string
	for _, v := range s.views {
		var containers []string
		for _, c := range v.Containers {
			containers = append(containers, fmt.Sprintf("%d %s", c.ImageID, c.Status))
		}
		lines = append(lines, fmt.Sprintf("view %s %.1s: %s", v.AppState, v.Commit, strings.Join(containers, ", ")))
	}
	for _, t := range s.targets {
		line := "target none"
		if t != (supervisor.Target{}) {
			line = fmt.Sprintf("target %.1s: %d %s [%s]", t.Commit, t.ReleaseID, t.Status, t.UpdateStatus)
		}
		lines = append(lines, line)
	}
	for _, r := range s.releases {
		var images []string
		for _, image := range slices.Sorted(maps.Keys(r.ByImage)) {
			images = append(images, fmt.Sprintf("%d=%d %s", image, r.ByImage[image].ReleaseID, r.ByImage[image].Status))
		}
		lines = append(lines, fmt.Sprintf("releases %.1s: %s", r.Commit, strings.Join(images, ", ")))
	}
	return slices.Compact(lines)
}

// sequences reads sequences.txt, by recording.
func sequences() map[string][]string {
	file, err := os.Open("testdata/sequences.txt")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	all := map[string][]string{}
	name := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]")
		default:
			all[name] = append(all[name], line)
		}
	}
	return all
}

var _ = Describe("A recorded Supervisor", func() {
	expected := sequences()

	It("is read through in every recording", func() {
		Expect(slices.Collect(maps.Keys(expected))).To(ConsistOf(recordings()))
	})

	for _, name := range recordings() {
		Describe(name, func() {
			It("is understood phase by phase", func(ctx SpecContext) {
				Expect(replay(ctx, name).lines()).To(Equal(expected[name]))
			})

			It("has every field of every container", func(ctx SpecContext) {
				for _, v := range replay(ctx, name).views {
					Expect(v.ReceivedAt).To(BeTemporally(">=", v.RequestedAt))
					if name != "19.0.5/api-restart-service.jsonl" { // which has none for a moment
						Expect(v.Containers).NotTo(BeEmpty())
					}
					for _, c := range v.Containers {
						Expect(c.ID).To(MatchRegexp(`^[0-9a-f]{64}$`))
						Expect(c.Service).To(BeElementOf(services(name)))
						Expect(c.AppID).To(Equal("1234"))
						Expect(c.ServiceID).To(BeEquivalentTo(1 + slices.Index(services(name), c.Service)))
						Expect(c.CreatedAt.Year()).To(Equal(2026))
						found, ok := v.Find(c.ID[:12])
						Expect(ok).To(BeTrue())
						Expect(found).To(Equal(c))
					}
				}
			})

			It("gives the containers of the service, the one that Docker created last first", func(ctx SpecContext) {
				s := replay(ctx, name)
				age := func(c supervisor.Container) int { return slices.Index(s.created, c.ID[:12]) }
				for _, v := range s.views {
					of := v.Of("1234", "main")
					all := slices.Clone(of)
					for _, beside := range services(name)[1:] {
						Expect(v.Of("1234", beside)).To(HaveLen(1))
						all = append(all, v.Of("1234", beside)...)
					}
					Expect(all).To(ConsistOf(v.Containers))
					Expect(slices.IsSortedFunc(of, func(a, b supervisor.Container) int { return age(b) - age(a) })).To(BeTrue())
					Expect(v.Of("1234", "other")).To(BeEmpty())
					Expect(v.Of("99", "main")).To(BeEmpty())
				}
			})

			It("names the old commit as current for as long as two containers are there", func(ctx SpecContext) {
				for _, v := range replay(ctx, name).views {
					if len(v.Of("1234", "main")) > 1 {
						Expect(v.Commit).To(HavePrefix("aaa"))
						Expect(v.AppState).To(Equal("applying"))
					}
				}
			})
		})
	}

	statuses := func(s story) []supervisor.Status {
		var of []supervisor.Status
		for _, t := range s.targets {
			of = append(of, t.Status)
		}
		return of
	}

	It("says Awaiting handover of the target on 19.0.5, and Running on 14.13.9", func(ctx SpecContext) {
		Expect(statuses(replay(ctx, "19.0.5/hand-over.jsonl"))).To(ContainElement(supervisor.StatusAwaitingHandover))
		for _, name := range recordings() {
			if strings.HasPrefix(name, "14.13.9/") {
				of := statuses(replay(ctx, name))
				Expect(of).NotTo(ContainElement(supervisor.StatusAwaitingHandover))
				Expect(of).To(ContainElement(supervisor.StatusRunning))
			}
		}
	})

	It("says Handing over of an image with two containers, under the same release", func(ctx SpecContext) {
		for _, version := range []string{"14.13.9", "19.0.5"} {
			Expect(replay(ctx, version+"/same-release.jsonl").releases).To(ContainElement(
				HaveField("ByImage", Equal(map[int64]supervisor.ImageRelease{
					501: {ReleaseID: 1001, Status: supervisor.StatusHandingOver},
				}))))
		}
	})

	It("does not change the target for the same release on 19.0.5", func(ctx SpecContext) {
		Expect(statuses(replay(ctx, "19.0.5/same-release.jsonl"))).To(HaveEach(supervisor.StatusRunning))
	})

	It("calls a container Running again that is being stopped, when the Supervisor was started again", func(ctx SpecContext) {
		for _, name := range []string{"supervisor-restarts-while-old-holds", "supervisor-restarts-twice-old-ignores-sigterm"} {
			var of []supervisor.Status
			for _, v := range replay(ctx, "19.0.5/"+name+".jsonl").views {
				if containers := v.Of("1234", "main"); len(containers) > 1 {
					of = append(of, containers[1].Status)
				}
			}
			Expect(len(of)).To(BeNumerically(">=", 4), name)
			for i, status := range of {
				Expect(status).To(Equal([]supervisor.Status{supervisor.StatusRunning, supervisor.StatusStopping}[i%2]), name)
			}
		}
	})

	It("lists a container that was stopped by hand as exited, and the target as done", func(ctx SpecContext) {
		s := replay(ctx, "19.0.5/container-stopped-by-hand.jsonl")
		last := s.views[len(s.views)-1]
		Expect(last.AppState).To(Equal("applied"))
		Expect(last.Containers).To(HaveExactElements(HaveField("Status", BeEquivalentTo("exited"))))
		Expect(s.targets[len(s.targets)-1].UpdateStatus).To(BeEquivalentTo("done"))
	})

	It("lists a new container that could not be started as Installed while it stops the old one", func(ctx SpecContext) {
		Expect(replay(ctx, "19.0.5/published-ports.jsonl").views).To(ContainElement(HaveField("Containers", HaveExactElements(
			HaveField("Status", BeEquivalentTo("Installed")), HaveField("Status", supervisor.StatusStopping)))))
	})

	It("runs three containers at once on 14.13.9 only", func(ctx SpecContext) {
		most := func(name string) (most int) {
			for _, v := range replay(ctx, name).views {
				most = max(most, len(v.Containers))
			}
			return most
		}
		Expect(most("14.13.9/three-instances.jsonl")).To(Equal(3))
		Expect(most("19.0.5/old-ignores-sigterm.jsonl")).To(Equal(2))
	})

	It("calls an image Handing over before the new container is started", func(ctx SpecContext) {
		records := readRecording("19.0.5/supervisor-killed.jsonl")
		started := slices.IndexFunc(records, func(r record) bool { return r.Docker == "start" })
		said := slices.IndexFunc(records, func(r record) bool {
			return r.Get == "/v2/applications/1234/state" && bytes.Contains(r.Body, []byte("Handing over"))
		})
		Expect(said).To(BeNumerically(">", 0))
		Expect(said).To(BeNumerically("<", started))
	})
})
