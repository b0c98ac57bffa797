package run_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

var _ = Describe("handover check beside handover run", func() {
	found := func(i *instance) (int, check.Report) {
		GinkgoHelper()
		status, text := i.handover("check", "--json")
		Expect(text).NotTo(ContainSubstring(apiKey))
		var doc struct {
			Findings check.Report `json:"findings"`
		}
		Expect(json.Unmarshal([]byte(text), &doc)).To(Succeed(), text)
		return status, doc.Findings
	}
	of := func(about string, level check.Level, text string) OmegaMatcher {
		return ContainElement(And(HaveField("Check", about), HaveField("Level", level), HaveField("Found", ContainSubstring(text))))
	}

	It("looks at the instance, and at what it needs, and disturbs nobody", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		a.event("Release", "") // the last thing that happens to it
		before := a.status()
		_, report := found(a)
		Expect(report).To(of("process.instance", check.OK, "it is serving"))
		Expect(report).To(of("process.init", check.Warning, fmt.Sprintf("the instance is process %d", a.cmd.Process.Pid)))
		Expect(report).To(of("process.version", check.OK, "are of version"))
		Expect(report).To(of("identity.record", check.OK, "is recorded in"))
		Expect(report).To(of("network.multicast", check.OK, "came back"))
		Expect(report).To(of("supervisor.key", check.OK, "accepts"))
		Expect(report).To(of("supervisor.containers", check.OK, "as Running, and 1 container"))
		Expect(report).To(of("marker.stale", check.OK, "no marker"))
		Expect(report).To(of("grace.readiness", check.OK, "(this container)"))
		after := a.status()
		Expect(after.Phase).To(Equal("serving"))
		Expect(after.Peers).To(BeEmpty())
		Expect(after.Instance).To(Equal(before.Instance))
		Expect(after.Events).To(HaveLen(len(before.Events)))
	})

	It("hears of the other instance, and tells a refused key", func() {
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		r.container("b").serve(time.Hour)
		Eventually(func() int { return len(a.status().Peers) }, patience, 10*time.Millisecond).Should(Equal(1))
		r.supervisor.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Unauthorized", http.StatusUnauthorized) })
		status, report := found(a)
		Expect(status).To(Or(Equal(1), Equal(2)))
		Expect(report).To(of("process.peers", check.OK, "container bbbbbbbbbbbb is heard by multicast: it is younger than this one, and starting"))
		Expect(report).To(of("network.peers", check.OK, "bbbbbbbbbbbb is heard by multicast"))
		Expect(report).To(of("supervisor.reach", check.OK, "answers"))
		Expect(report).To(ContainElement(And(HaveField("Check", "supervisor.key"), HaveField("Level", BeNumerically(">=", check.Warning)))))
	})
})
