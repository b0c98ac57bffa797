package run_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/decide"
)

var _ = Describe("A service that is not ready", func() {
	It("has a reason: in its condition, its events, once in its log, and in handover check", func() {
		r := newRig()
		a := r.container("a").serve(0, "HANDOVER_READINESS_HTTP=", "HANDOVER_READINESS_COMMAND=exit 3")
		const why = "not ready: command: exit status 3"
		Eventually(func() string {
			for _, c := range a.status().Conditions {
				if c.Type == decide.Ready {
					return c.Message
				}
			}
			return ""
		}, patience).Should(Equal("the workload is " + why))
		a.event("WorkloadNotReady", "the workload is still "+why)
		Expect(strings.Count(a.err.String(), `level=WARN msg="workload still not ready"`)).To(Equal(1))
		Expect(a.err.String()).To(MatchRegexp(`workload still not ready" after=\S+ because="command: exit status 3"`))
		_, text := a.handover("check")
		Expect(strings.Join(strings.Fields(text), " ")).To(ContainSubstring("the workload is " + why))
	})
})

var _ = Describe("A service that does not listen, on defaults alone", func() {
	It("is ready while the old one still holds", func() {
		r := newRig()
		a := r.container("a").run(nil, "sleep", "1000")
		a.until("serving", patience)
		b := r.container("b").run(nil, "sleep", "1000")
		b.until("starting", patience)
		a.term()
		Expect(a.exit(patience)).To(BeZero())
		Expect(b.phase()).To(Equal("serving"))
		Expect(a.err.String()).To(And(ContainSubstring("reason=HandedOver"), Not(ContainSubstring("HoldEnded"))))
		Expect(strings.Count(b.err.String(), "workload taken for ready because of its age")).To(Equal(1))
		Expect(b.err.String()).NotTo(ContainSubstring("NobodyServes"))
	})
})

var _ = Describe("A readiness.after that the hold cannot wait for", func() {
	It("is said loudly, in the same words, by run, check and check --compose", func() {
		r := newRig()
		file := filepath.Join(r.dir, "handover.yaml")
		Expect(os.WriteFile(file, []byte("readiness:\n  after: 20s\n"), 0o600)).To(Succeed())
		const (
			what = "must be less than the hold, which is 6.5s: service.stop_grace_period (10s, default) − policy.drain_reserve (3s, default) − 500ms"
			why  = "told to stop, the old instance ends before the new one counts as ready, and nobody is ready in between, at each update"
			do   = "shorten it, or raise stop_grace_period in the compose file and service.stop_grace_period alike to more than 23.5s"
		)
		a := r.container("a").run(nil, "sleep", "1000")
		a.until("starting", patience)
		Expect(a.err.String()).To(And(ContainSubstring("level=WARN msg=\"readiness.after (20s, handover.yaml:2) "+what),
			ContainSubstring(why), ContainSubstring(do)))

		compose := filepath.Join(r.dir, "docker-compose.yml")
		Expect(os.WriteFile(compose, []byte(`services:
  main:
    build: .
    labels:
      io.balena.update.strategy: hand-over
    environment:
      HANDOVER_READINESS_AFTER: 20s
`), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(r.dir, "Dockerfile"), []byte("FROM alpine\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]\nCMD [\"/app\"]\n"), 0o600)).To(Succeed())
		for _, args := range [][]string{{"check", "--json"}, {"check", "--json", "--compose", compose}} {
			_, text := a.handover(args...)
			var report struct {
				Findings []struct{ Level, Found, Why, Do string }
			}
			Expect(json.Unmarshal([]byte(text), &report)).To(Succeed(), text)
			Expect(report.Findings).To(ContainElement(And(
				HaveField("Level", "error"), HaveField("Found", HaveSuffix(") "+what)), HaveField("Why", why), HaveField("Do", do))), "%v", args)
		}
	})
})
