package simulator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// newSimulator makes a Supervisor with release A running; it ends with the
// bubble's function.
func newSimulator(version string, change ...func(*simulator.Options)) (*simulator.Simulator, *history) {
	GinkgoHelper()
	v, err := simulator.ByName(version)
	Expect(err).NotTo(HaveOccurred())
	events := &history{}
	o := simulator.Options{
		Version: v, Runtime: simulator.Scripted(func(simulator.Container) simulator.Script { return simulator.Script{} }), Seed: 1,
		OnEvent: events.add,
	}
	for _, c := range change {
		c(&o)
	}
	s, err := simulator.New(o)
	Expect(err).NotTo(HaveOccurred())
	synctest.Wait() // it has looked, and waits for a target: what chance decides follows from the seed only then
	s.SetTarget((&actions{}).release("A"))
	time.Sleep(10 * time.Second)
	Expect(s.Settled()).To(BeTrue())
	Expect(s.Containers()).To(HaveLen(1))
	events.clear()
	return s, events
}

// history collects events.
type history struct {
	mu     sync.Mutex
	events []simulator.Event
}

func (h *history) add(e simulator.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = nil
}

func (h *history) all() []simulator.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func clientOf(s *simulator.Simulator, key string) *supervisor.Client {
	GinkgoHelper()
	c, err := supervisor.NewClient(supervisor.Options{Address: "http://127.0.0.1", APIKey: key, Transport: s.Transport()})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// get asks without a network.
func get(s *simulator.Simulator, method, path, authorization string) (status int, kind, body string) {
	GinkgoHelper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://127.0.0.1"+path, nil)
	Expect(err).NotTo(HaveOccurred())
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	answer, err := s.Transport().RoundTrip(req)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(text)
}

var _ = Describe("The simulated API's errors", func() {
	heading := regexp.MustCompile(`(?m)^### (\S+): (\S+) (\S+)  hdr='(?:Authorization: )?(.*)'\n`)
	for _, version := range []string{"14.13.9", "19.0.5"} {
		It("are those that were recorded of "+version, func() {
			data, err := os.ReadFile(filepath.Join("..", "testdata", version, "errors.txt"))
			Expect(err).NotTo(HaveOccurred())
			text := string(data)
			sections := heading.FindAllStringSubmatchIndex(text, -1)
			Expect(len(sections)).To(BeNumerically(">", 10))
			key := regexp.MustCompile(`apikey=([0-9a-f]{32})`).FindStringSubmatch(text)[1]
			global := regexp.MustCompile(`### globalkey.*Bearer ([0-9a-f]{32})`).FindStringSubmatch(text)[1]
			virtually(version, func() {
				s, _ := newSimulator(version, func(o *simulator.Options) { o.APIKey, o.GlobalKey = key, global })
				defer s.Close()
				for i, at := range sections {
					group := func(n int) string { return text[at[2*n]:at[2*n+1]] }
					end := len(text)
					if i+1 < len(sections) {
						end = sections[i+1][0]
					}
					name, method, path, authorization := group(1), group(2), group(3), group(4)
					if name == "local-target" {
						continue // a device in local mode; not simulated
					}
					head, body, _ := strings.Cut(strings.ReplaceAll(text[at[1]:end], "\r\n", "\n"), "\n\n")
					status, kind, said := get(s, method, path, authorization)
					Expect(head).To(ContainSubstring(fmt.Sprintf("HTTP/1.1 %d ", status)), name)
					Expect(head).To(ContainSubstring("Content-Type: "+kind+"\n"), name)
					if name == "good-service" {
						said = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(said, "ID")
						body = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(body, "ID")
					}
					Expect(strings.TrimSpace(said)).To(Equal(strings.TrimSpace(body)), name)
				}
			})
		})
	}
})

var _ = Describe("What the simulated API is told to do wrong", func() {
	// failure asks for the list and returns the kind of error.
	failure := func(s *simulator.Simulator) supervisor.Kind {
		GinkgoHelper()
		_, err := clientOf(s, s.APIKey()).View(context.Background())
		var e *supervisor.Error
		Expect(err).To(BeAssignableToTypeOf(e))
		return err.(*supervisor.Error).Kind
	}
	works := func(s *simulator.Simulator) {
		GinkgoHelper()
		v, err := clientOf(s, s.APIKey()).View(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(v.Containers).To(HaveLen(1))
	}
	DescribeTable("it does, until it is healed",
		func(f simulator.Fault, kind supervisor.Kind) {
			virtually("fault", func() {
				s, _ := newSimulator("19.0.5")
				defer s.Close()
				works(s)
				heal := s.Fail(f)
				Expect(failure(s)).To(Equal(kind))
				heal()
				works(s)
				heal() // once more changes nothing
				works(s)
			})
		},
		Entry("an error", simulator.Fault{Status: 500}, supervisor.KindServer),
		Entry("another error", simulator.Fault{Status: 503}, supervisor.KindServer),
		Entry("refusing the key", simulator.Fault{Status: 401}, supervisor.KindUnauthorized),
		Entry("no answer", simulator.Fault{Kind: simulator.FaultStall}, supervisor.KindTimeout),
		Entry("no connection", simulator.Fault{Kind: simulator.FaultRefuse}, supervisor.KindUnreachable),
		Entry("no connection for one path", simulator.Fault{Kind: simulator.FaultRefuse, Paths: []string{"/v2/state/"}}, supervisor.KindUnreachable),
		Entry("half an answer", simulator.Fault{Kind: simulator.FaultHalf}, supervisor.KindMalformed),
	)

	It("says what was true before, if it is to be stale", func() {
		virtually("stale", func() {
			s, _ := newSimulator("19.0.5")
			defer s.Close()
			heal := s.Fail(simulator.Fault{Kind: simulator.FaultStale})
			s.SetTarget((&actions{}).release("B"))
			time.Sleep(time.Minute)
			v, err := clientOf(s, s.APIKey()).View(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(v.Containers).To(HaveLen(1))
			Expect(v.Containers[0].ImageID).To(BeEquivalentTo(501))
			heal()
			v, err = clientOf(s, s.APIKey()).View(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(v.Containers[0].ImageID).To(BeEquivalentTo(502))
		})
	})

	It("fails only on the paths that are named", func() {
		virtually("paths", func() {
			s, _ := newSimulator("19.0.5")
			defer s.Close()
			defer s.Fail(simulator.Fault{Status: 500, Paths: []string{"/v2/applications/"}})()
			works(s)
			_, err := clientOf(s, s.APIKey()).Releases(context.Background(), "1234")
			Expect(err).To(HaveOccurred())
		})
	})

	It("ends requests that wait when it is closed", func() {
		virtually("close", func() {
			s, _ := newSimulator("19.0.5")
			s.Fail(simulator.Fault{Kind: simulator.FaultStall})
			done := make(chan error, 1)
			go func() {
				_, err := clientOf(s, s.APIKey()).View(context.Background())
				done <- err
			}()
			synctest.Wait()
			s.Close()
			Expect(<-done).To(HaveOccurred())
		})
	})
})
