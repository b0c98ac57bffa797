package compose_test

import (
	"fmt"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// worse are the findings of level warning and worse: level, check, service,
// file and line, the file relative to the project's folder.
func worse(dir string, report check.Report) []string {
	GinkgoHelper()
	found := []string{}
	for _, f := range report {
		if f.Level < check.Warning {
			continue
		}
		file, err := filepath.Rel(dir, f.File)
		Expect(err).NotTo(HaveOccurred())
		service := f.Service
		if service == "" {
			service = "-"
		}
		found = append(found, fmt.Sprintf("%s %s %s %s:%d", f.Level, f.Check, service, file, f.Line))
	}
	return found
}

var _ = Describe("Lint", func() {
	DescribeTable("finds in a project just this, and nothing else that is worse than a note",
		func(project string, want ...string) {
			dir := filepath.Join("testdata", project)
			report := lint(filepath.Join(dir, fileName))
			Expect(worse(dir, report)).To(HaveExactElements(want))
			Expect(report).NotTo(BeEmpty())
		},
		Entry(nil, "addresses",
			"error compose.addresses main docker-compose.yml:12",
			"error compose.addresses main docker-compose.yml:13",
			"error compose.addresses mac docker-compose.yml:18"),
		Entry(nil, "architectures",
			"error compose.entrypoint main Dockerfile.armv7hf:2",
			"error compose.healthcheck main Dockerfile.raspberrypi4-64:2"),
		Entry(nil, "configuration",
			"error compose.config main main/handover.yaml:2",
			"error compose.config main main/handover.yaml:3",
			"error compose.config main main/handover.yaml:5",
			"error compose.config main docker-compose.yml:11",
			"error compose.config main docker-compose.yml:14",
			"warning compose.config main docker-compose.yml:13",
			"error compose.config relation relation/settings.yaml:2",
			"error compose.config relation relation/Dockerfile:3"),
		Entry(nil, "container",
			"warning compose.restart crash docker-compose.yml:10",
			"warning compose.init crash docker-compose.yml:11",
			"warning compose.init tini tini/Dockerfile:2"),
		Entry(nil, "devices",
			"warning compose.devices serial docker-compose.yml:11",
			"error compose.folder i2c docker-compose.yml:24",
			"warning compose.folder own-folder docker-compose.yml:29",
			"error compose.folder own-lock docker-compose.yml:34"),
		Entry(nil, "elsewhere"),
		Entry(nil, "entrypoint",
			"error compose.entrypoint shell-form Dockerfile.shell:2",
			"error compose.entrypoint sh-c docker-compose.yml:16",
			"error compose.entrypoint no-command Dockerfile.no-command:8",
			"error compose.entrypoint no-run docker-compose.yml:27",
			"error compose.entrypoint other-command docker-compose.yml:31",
			"error compose.entrypoint overruled docker-compose.yml:41",
			"warning compose.entrypoint shell-command Dockerfile.shell-command:3",
			"error compose.entrypoint single-quotes Dockerfile.quotes:2",
			"warning compose.entrypoint forgotten Dockerfile.forgotten:2"),
		Entry(nil, "good-anchors"),
		Entry(nil, "good-exclusive"),
		Entry(nil, "good-host"),
		Entry(nil, "good"),
		Entry(nil, "grace",
			"error compose.grace unsaid-in-compose docker-compose.yml:11",
			"warning compose.grace unsaid-in-handover docker-compose.yml:15",
			"error compose.grace no-unit docker-compose.yml:19",
			"error compose.grace nothing docker-compose.yml:23",
			"warning compose.grace short docker-compose.yml:27",
			"warning compose.grace long-drain docker-compose.yml:32",
			"error compose.grace too-late docker-compose.yml:41"),
		Entry(nil, "handover-lib",
			"warning compose.program api api/package.json:5",
			"warning compose.program worker worker/package.json:5",
			"warning compose.program jobs worker/package.json:5",
			"warning compose.program elsewhere worker/package.json:5",
			"error compose.handover-lib api api/package.json:5"),
		Entry(nil, "healthcheck",
			"error compose.healthcheck curl docker-compose.yml:11",
			"error compose.healthcheck list docker-compose.yml:17",
			"error compose.healthcheck both docker-compose.yml:22",
			"error compose.healthcheck intervals-only Dockerfile:3",
			"error compose.healthcheck no-socket probing/Dockerfile:2"),
		Entry(nil, "interpolation"),
		Entry(nil, "legacy",
			"warning compose.program old old/package.json:5",
			"warning compose.handover-lib moving moving/package.json:5",
			"warning compose.legacy new docker-compose.yml:9"),
		Entry(nil, "network",
			"error compose.network bridge-on-host docker-compose.yml:11",
			"error compose.network host-on-bridge docker-compose.yml:16",
			"warning compose.network alone docker-compose.yml:26"),
		Entry(nil, "no-hand-over"),
		Entry(nil, "no-version"),
		Entry(nil, "obeys-sigterm",
			"warning compose.program main docker-compose.yml:3",
			"warning compose.devices image docker-compose.yml:12",
			"warning compose.supervisor-api image docker-compose.yml:7"),
		Entry(nil, "outside/project"),
		Entry(nil, "ports",
			"error compose.ports short docker-compose.yml:11",
			"error compose.ports long docker-compose.yml:17",
			"error compose.ports single docker-compose.yml:24"),
		Entry(nil, "several"),
		Entry(nil, "state",
			"warning compose.state-dir read-only docker-compose.yml:10",
			"error compose.state-dir forgetful docker-compose.yml:18",
			"warning compose.state-dir volume docker-compose.yml:22"),
		Entry(nil, "stop-signal",
			"warning compose.stop-signal nginx nginx/Dockerfile:1",
			"error compose.stop-signal quit quit/Dockerfile:3",
			"error compose.stop-signal kill docker-compose.yml:20",
			"error compose.stop-signal usr1 docker-compose.yml:24"),
		Entry(nil, "strategy-missing",
			"error compose.strategy main docker-compose.yml:3"),
		Entry(nil, "strategy-spelling",
			"error compose.strategy underscore docker-compose.yml:6",
			"error compose.strategy capitals docker-compose.yml:13",
			"error compose.strategy together docker-compose.yml:18",
			"error compose.strategy key docker-compose.yml:22",
			"warning compose.timeout key docker-compose.yml:23",
			"warning compose.supervisor-api key docker-compose.yml:24",
			"error compose.strategy other docker-compose.yml:29",
			"warning compose.strategy not-ours docker-compose.yml:33"),
		Entry(nil, "supervisor-api",
			"warning compose.supervisor-api missing docker-compose.yml:3",
			"warning compose.supervisor-api word docker-compose.yml:12",
			"error compose.supervisor-api required docker-compose.yml:17"),
		Entry(nil, "timeout",
			"warning compose.timeout unit docker-compose.yml:7",
			"warning compose.timeout zero docker-compose.yml:11",
			"warning compose.timeout negative docker-compose.yml:14",
			"warning compose.timeout fraction docker-compose.yml:17",
			"warning compose.timeout seconds docker-compose.yml:26"),
		Entry(nil, "user",
			"warning compose.user node Dockerfile:10",
			"error compose.user number docker-compose.yml:13"),
		Entry(nil, "version-3",
			"warning compose.version - docker-compose.yml:1"),
		Entry(nil, "invalid",
			"error compose.file - docker-compose.yml:9",
			"error compose.file - docker-compose.yml:6",
			"error compose.file - docker-compose.yml:10",
			"error compose.file - docker-compose.yml:11",
			"warning compose.supervisor-api main docker-compose.yml:3"),
	)

	It("is tried on every project", func() {
		source, err := os.ReadFile("projects_test.go")
		Expect(err).NotTo(HaveOccurred())
		all := projects()
		Expect(len(all)).To(BeNumerically(">=", 30))
		for _, path := range all {
			name, err := filepath.Rel("testdata", filepath.Dir(path))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(source)).To(ContainSubstring("Entry(nil, %q", name))
		}
	})

	It("finds nothing wrong with the example for balena", func() {
		report := lint("../../../../manifests/docker-compose.yml")
		Expect(report.Worst()).To(Equal(check.OK))
		Expect(report).To(HaveLen(1))
		Expect(report[0].Found).To(Equal("hands over at updates, by handover; a new container has 56.5s to become ready"))
	})

	It("says of every service that hands over, as it should, that it does", func() {
		for _, project := range []string{"good", "good-anchors", "good-exclusive", "good-host", "several"} {
			report := lint(filepath.Join("testdata", project, fileName))
			Expect(report.Count(check.OK)).To(BeNumerically(">=", 1), project)
			Expect(report.Worst()).To(BeNumerically("<=", check.Note), project)
			Expect(report.ExitStatus()).To(BeZero(), project)
		}
	})

	DescribeTable("says how long a new container has to become ready", func(variable string, level check.Level, found string) {
		report := lintText("services:\n  main:\n    image: x\n    stop_grace_period: 60s\n    labels:\n      io.balena.update.strategy: hand-over\n" +
			"    environment:\n      HANDOVER_SERVICE_STOP_GRACE_PERIOD: 60s\n      " + variable + "\n")
		Expect(report).To(ContainElement(And(HaveField("Level", level), HaveField("Found", HaveSuffix(found)))))
	},
		Entry("by default", "HANDOVER_LOG_LEVEL: info", check.OK, "a new container has 56.5s to become ready"),
		Entry("with a delay", "HANDOVER_POLICY_DRAIN_DELAY: 3s", check.OK, "a new container has 56.5s to become ready"),
		Entry("so that both signals can hold", "HANDOVER_POLICY_SETTLE: 3s", check.OK, "a new container has 53.5s to become ready"),
		Entry("which may be no time at all", "HANDOVER_POLICY_SETTLE: 2m", check.Error, "policy.settle (2m, HANDOVER_POLICY_SETTLE) must be less than the hold, which is 56.5s: service.stop_grace_period (1m, HANDOVER_SERVICE_STOP_GRACE_PERIOD) − policy.drain_reserve (3s, default) − 500ms"),
	)

	It("warns of a hold that is too short by the file alone, where the image may say more", func() {
		report := lintText("services:\n  main:\n    image: x\n    labels:\n      io.balena.update.strategy: hand-over\n    environment:\n      HANDOVER_READINESS_AFTER: 7s\n")
		Expect(report).To(ContainElement(And(HaveField("Level", check.Warning), HaveField("Line", 7),
			HaveField("Found", HavePrefix("readiness.after (7s, HANDOVER_READINESS_AFTER) must be less than the hold, which is 6.5s")))))
	})

	It("tells in each finding what was found, and in the bad ones why it matters and where", func() {
		for _, path := range projects() {
			for _, f := range lint(path) {
				Expect(f.Found).NotTo(BeEmpty(), "%+v", f)
				Expect(f.File).NotTo(BeEmpty(), "%+v", f)
				if f.Level >= check.Warning && f.Check != "compose.file" {
					Expect(f.Why).NotTo(BeEmpty(), "%+v", f)
					Expect(f.Do).NotTo(BeEmpty(), "%+v", f)
					Expect(f.Line).To(BeNumerically(">", 0), "%+v", f)
				}
				if f.Level == check.OK {
					Expect(f.Why+f.Do).To(BeEmpty(), "%+v", f)
				}
			}
		}
	})

	It("shows no secret", func() {
		for _, path := range projects() {
			for _, f := range lint(path) {
				Expect(fmt.Sprintf("%+v", f)).NotTo(ContainSubstring("to be seen"))
			}
		}
	})
})
