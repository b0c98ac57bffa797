package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

var _ = Describe("handover check", func() {
	var dir string
	BeforeEach(func() { dir = GinkgoT().TempDir() })

	// run returns the exit status and what was printed.
	run := func(environ []string, args ...string) (status int, out, err string) {
		GinkgoHelper()
		open := func(name string) *os.File {
			f, err := os.Create(filepath.Join(dir, name))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(f.Close)
			return f
		}
		s := streams{os.Stdin, open("out"), open("err")}
		status = execute(append([]string{"check"}, args...), append(environ,
			"HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", "HANDOVER_NETWORK_PORT=21536", "HANDOVER_ANNOUNCE_FOLDER="+dir,
			"HANDOVER_SERVICE_STATE_DIR="+dir, "HANDOVER_STATUS_SOCKET="+filepath.Join(dir, "s"),
			"HANDOVER_POLICY_COMPLETE_PATH="+filepath.Join(dir, "handover-complete"), "HANDOVER_SUPERVISOR_MODE=off",
			"HANDOVER_ANNOUNCE_SECRET=the-secret-word", "HANDOVER_SUPERVISOR_API_KEY=the-secret-key"), s)
		text := func(name string) string {
			b, err := os.ReadFile(filepath.Join(dir, name))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(b)).NotTo(ContainSubstring("the-secret"))
			return string(b)
		}
		return status, text("out"), text("err")
	}
	findings := func(text string) check.Report {
		GinkgoHelper()
		var doc struct {
			Findings check.Report `json:"findings"`
		}
		Expect(json.Unmarshal([]byte(text), &doc)).To(Succeed())
		return doc.Findings
	}

	It("prints text, and its exit status is that of the worst finding", func() {
		status, out, err := run([]string{"BALENA_APP_ID=1", "BALENA_SERVICE_NAME=main"})
		Expect(out).To(ContainSubstring("warning supervisor.mode is off"))
		Expect(out).To(MatchRegexp(`\n0 errors, [0-9]+ warnings?, [0-9]+ notes?\n$`))
		Expect(err).To(BeEmpty())
		Expect(status).To(Equal(2))

		status, out, _ = run([]string{"HANDOVER_POLICY_SETTLE=7s"})
		Expect(out).To(ContainSubstring("error   policy.settle (7s, HANDOVER_POLICY_SETTLE) must be less than the hold, which is 6.5s"))
		Expect(status).To(Equal(1))
	})

	It("prints JSON", func() {
		_, out, _ := run(nil, "--json")
		Expect(findings(out)).To(ContainElement(And(HaveField("Check", "network.multicast"), HaveField("Level", check.OK))))
	})

	It("reports a configuration that cannot be used, with exit status 78", func() {
		file := filepath.Join(dir, "handover.yaml")
		Expect(os.WriteFile(file, []byte("policy:\n  settle: 5\n  drain_delay: x\n"), 0o644)).To(Succeed())
		status, out, err := run(nil, "--json", "--config", file)
		Expect(status).To(Equal(78))
		Expect(err).To(BeEmpty())
		Expect(findings(out)).To(HaveExactElements(
			And(HaveField("Line", 2), HaveField("File", file), HaveField("Check", "config.problem"), HaveField("Level", check.Error)),
			HaveField("Line", 3)))
		status, out, _ = run(nil, "--config", file)
		Expect(status).To(Equal(78))
		Expect(out).To(ContainSubstring("error   " + file + ":2: policy.settle:"))
	})

	It("looks at a compose file instead, whatever the configuration here is", func() {
		project := filepath.Join(dir, "docker-compose.yml")
		text := "services:\n  main:\n    image: x\n    labels:\n      io.balena.update.strategy: handover\n"
		Expect(os.WriteFile(project, []byte(text), 0o644)).To(Succeed())
		status, out, err := run([]string{"HANDOVER_POLICY_SETTLE=nonsense"}, "--compose", project, "--json")
		Expect(err).To(BeEmpty())
		Expect(findings(out)).To(ContainElement(And(
			HaveField("Check", "compose.strategy"), HaveField("Level", check.Error),
			HaveField("Service", "main"), HaveField("File", project), HaveField("Line", 5))))
		Expect(out).NotTo(ContainSubstring("network.multicast"))
		Expect(status).To(Equal(1))
	})

	It("does not take an empty name for none", func() {
		status, out, err := run(nil, "--compose", "")
		Expect(out).To(BeEmpty())
		Expect(err).To(ContainSubstring("--compose names no file"))
		Expect(status).To(Equal(64))
	})

	It("says that there is no such compose file", func() {
		status, out, err := run(nil, "--compose", filepath.Join(dir, "compose.yml"))
		Expect(out).To(ContainSubstring("compose.yml: the file cannot be read: no such file"))
		Expect(err).To(BeEmpty())
		Expect(status).To(Equal(1))
		_, out, _ = run(nil, "--json", "--compose", filepath.Join(dir, "compose.yml"))
		Expect(out).To(ContainSubstring("no such file"))
	})

	It("takes no arguments", func() {
		status, _, err := run(nil, "compose.yml")
		Expect(status).To(Equal(64))
		Expect(err).To(ContainSubstring("check takes no arguments"))
	})

	It("paints levels, and nothing for notes", func() {
		Expect(painter(true).level(check.Error, "error  ")).To(Equal("\x1b[31merror  \x1b[0m"))
		Expect(painter(true).level(check.Warning, "w")).To(Equal("\x1b[33mw\x1b[0m"))
		Expect(painter(true).level(check.OK, "w")).To(Equal("\x1b[32mw\x1b[0m"))
		Expect(painter(true).level(check.Note, "w")).To(Equal("\x1b[39mw\x1b[0m"))
		Expect(painter(false).level(check.Error, "w")).To(Equal("w"))
	})
})
