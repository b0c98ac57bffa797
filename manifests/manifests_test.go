package manifests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

const (
	composePath    = "docker-compose.yml"
	settingsPath   = "handover.yaml"
	dockerfilePath = "Dockerfile.template"
	ciPath         = "../.ci/run"
	modPath        = "../go.mod"
)

var _ = Describe("docker-compose.yml", func() {
	It("is what balena and handover accept, and says the grace period twice", func() {
		Expect(checkCompose(read(composePath), read(settingsPath))).To(BeEmpty())
	})

	DescribeTable("would be found out if it said something else",
		func(old, replacement, fault string) {
			text := broken(read(composePath), old, replacement)
			Expect(checkCompose(text, read(settingsPath))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("something twice", "    build: .\n", "    build: .\n    build: .\n", "already defined"),
		Entry("an unknown field", "    build: .\n", "    buildt: .\n", "buildt not found"),
		Entry("a version that balena does not know", `"2.1"`, `"3.8"`, `version "3.8"`),
		Entry("another folder", "    build: .\n", "    build: ./main\n", "build"),
		Entry("another restart policy", "restart: always", `restart: "no"`, `restart is "no"`),
		Entry("published ports", "    expose:\n", "    ports: [\"80:8080\"]\n    expose:\n", "ports cannot be shared"),
		Entry("a misspelt strategy", "strategy: hand-over", "strategy: handover", `is "handover"`),
		Entry("a misspelt label", "balena.update.strategy:", "balena.update-strategy:", "io.balena.update.strategy is missing"),
		Entry("an unknown label", "balena.update.strategy:", "balena.updates: \"1\"\n      io.balena.update.strategy:", "io.balena.updates is unknown"),
		Entry("a time-out in seconds", `: "60000"`, `: "60s"`, `is "60s"`),
		Entry("a time-out of none", `: "60000"`, `: "0"`, `is "0"`),
		Entry("a time-out that is a number", `: "60000"`, `: 60000`, "not a text"),
		Entry("a time-out shorter than the grace period", `: "60000"`, `: "59999"`, "less than stop_grace_period"),
		Entry("the API as a boolean", `supervisor-api: "1"`, `supervisor-api: true`, "not a text"),
		Entry("no grace period", "    stop_grace_period: 60s\n", "", "stop_grace_period: "),
		Entry("another grace period for the engine", "stop_grace_period: 60s", "stop_grace_period: 30s", "stop_grace_period is 30s"),
		Entry("another grace period for handover", "PERIOD: 60s", "PERIOD: 2m", "PERIOD is 2m0s"),
		Entry("a grace period without a unit", "PERIOD: 60s", "PERIOD: 60", "has no unit"),
		Entry("an unknown variable", "HANDOVER_READINESS_HTTP:", "HANDOVER_READYNESS_HTTP:", "no variable of handover"),
		Entry("a readiness check of another port", "localhost:8080", "localhost:8081", "is not exposed"),
	)

	It("may say the same grace period in other words", func() {
		text := broken(read(composePath), "PERIOD: 60s", "PERIOD: 1m")
		Expect(checkCompose(text, read(settingsPath))).To(BeEmpty())
	})
})

var _ = Describe("handover.yaml", func() {
	It("says every key, in order, with its default", func() {
		Expect(checkSettings(read(settingsPath))).To(BeEmpty())
	})

	It("changes nothing when it is read by its path", func() {
		nothing, err := load("")
		Expect(err).NotTo(HaveOccurred())
		loaded, err := config.Load(config.Options{Path: settingsPath})
		Expect(err).NotTo(HaveOccurred())
		Expect(loaded.File).To(Equal(settingsPath))
		Expect(loaded.Warnings).To(BeEmpty())
		Expect(loaded.Config).To(Equal(nothing.Config))
	})

	DescribeTable("would be found out if it said something else",
		func(old, replacement, fault string) {
			text := broken(read(settingsPath), old, replacement)
			Expect(checkSettings(text)).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("another value", "\n  drain_reserve: 3s\n", "\n  drain_reserve: 4s\n", "policy.drain_reserve is 4s"),
		Entry("something for a key that has no default", "\n  #name: main\n", "\n  name: main\n", "service.name is main"),
		Entry("a computed default", "\n  #expire_after: 35s\n", "\n  expire_after: 35s\n", "announce.expire_after must be set"),
		Entry("a default behind a #", "\n  level: info\n", "\n  #level: info\n", "log.level must be set"),
		Entry("a key less", "\n  level: info\n", "\n", "log.level is missing"),
		Entry("a key that is none", "\n  level: info\n", "\n  levels: info\n", "not a known key"),
		Entry("a key that is none, behind a #", "\n  #name: main\n", "\n  #nam: main\n", "without its # does not load"),
		Entry("a bad value behind a #", "\n  #tcp: 127.0.0.1:8080\n", "\n  #tcp: 127.0.0.1\n", "readiness.tcp without its # does not load"),
		Entry("another order", "\n  period: 500ms\n", "\n  #period: 500ms\n\n  # Again.\n  timeout: 1s\n\n  # Again.\n  period: 500ms\n", "twice"),
		Entry("a key in another section", "\nlog:\n", "\n# log:\n", "not a known key"),
		Entry("nothing about a key", "  # text, or json for programs that read the log.\n", "", "log.format has 0 lines"),
		Entry("a key behind a # and a blank", "\n  #name: main\n", "\n  # name: main\n", "service.name is missing"),
	)
})

var _ = Describe("Dockerfile.template", func() {
	It("starts and checks the service with the binary that .ci/run builds", func() {
		Expect(checkDockerfile(read(dockerfilePath), read(ciPath), read(modPath))).To(BeEmpty())
	})

	DescribeTable("would be found out if it said something else",
		func(old, replacement, fault string) {
			text := broken(read(dockerfilePath), old, replacement)
			Expect(checkDockerfile(text, read(ciPath), read(modPath))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("an entry point for a shell", "\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]", "\nENTRYPOINT /usr/bin/handover run --", "ENTRYPOINT is /usr"),
		Entry("an entry point without the dashes", "\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]", "\nENTRYPOINT [\"/usr/bin/handover\", \"run\"]", "ENTRYPOINT is ["),
		Entry("another program", "\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]", "\nENTRYPOINT [\"/usr/local/bin/handover\", \"run\", \"--\"]", "ENTRYPOINT is ["),
		Entry("two entry points", "\nCMD ", "\nENTRYPOINT [\"/bin/sh\"]\nCMD ", "2 ENTRYPOINTs"),
		Entry("no command", "\nCMD [\"node\", \"server.js\"]", "", "no CMD"),
		Entry("a command for a shell", "\nCMD [\"node\", \"server.js\"]", "\nCMD node server.js", "CMD is not in exec form"),
		Entry("a command before the entry point", "\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]", "\nCMD [\"x\"]\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]", "no CMD after"),
		Entry("another check", `"probe"]`, `"status"]`, "HEALTHCHECK is"),
		Entry("no check", "\nHEALTHCHECK CMD [\"/usr/bin/handover\", \"probe\"]", "", "0 HEALTHCHECKs"),
		Entry("a stage that is none", "--from=handover", "--from=builder", `no stage "builder"`),
		Entry("another place of the binary", "/out/handover /usr/bin/handover", "/out/handover /bin/handover", "is not copied"),
		Entry("another output", "-o /out/handover", "-o /handover", "builds with"),
		Entry("other linker flags", "-ldflags='-s -w'", "-ldflags='-s'", "builds with"),
		Entry("other build tags", "-tags nethttpomithttp2", "-tags netgo", "builds with"),
		Entry("paths of the build machine", "-trimpath ", "", "builds with"),
		Entry("a binary that needs a C library", "CGO_ENABLED=0 ", "", "builds with"),
		Entry("another package", "./cmd/handover", ".", "builds with"),
		Entry("an old Go", "golang:1.26-", "golang:1.20-", "builds in golang:1.20"),
		Entry("no settings", "COPY handover.yaml", "COPY other.yaml", "handover.yaml is not copied"),
		Entry("an unknown variable", "%%BALENA_MACHINE_NAME%%", "%%MACHINE%%", "no variable of balena's"),
		Entry("a flag of BuildKit", "COPY --from=handover", "COPY --link --from=handover", "needs BuildKit"),
		Entry("a misspelt instruction", "\nWORKDIR /src\n", "\nWORKDIRS /src\n", "WORKDIRS is no instruction"),
		Entry("an instruction without an end", "[\"node\", \"server.js\"]", "[\"node\", \"server.js\"] \\", "does not end"),
	)

	It("has other entry points behind a #, with handover in them", func() {
		others := regexp.MustCompile(`(?m)^#ENTRYPOINT (.*)$`).FindAllStringSubmatch(read(dockerfilePath), -1)
		Expect(others).To(HaveLen(2))
		for _, m := range others {
			list, ok := execForm(m[1])
			Expect(ok).To(BeTrue(), m[0])
			at := slices.Index(list, binary)
			Expect(at).To(BeNumerically(">=", 0), m[0])
			Expect(len(list)).To(BeNumerically(">=", at+3), m[0])
			Expect(list[at:at+3]).To(Equal([]string{binary, "run", "--"}), m[0])
		}
	})

	DescribeTable("builds for the device, not for the machine that builds",
		func(architecture, want string) {
			stages, err := parseDockerfile(read(dockerfilePath))
			Expect(err).NotTo(HaveOccurred())
			command, ok := stages[0].buildCommand()
			Expect(ok).To(BeTrue())

			bin := GinkgoT().TempDir()
			fake := "#!/bin/sh\necho \"$GOOS $GOARCH $GOARM\"\n"
			Expect(os.WriteFile(filepath.Join(bin, "go"), []byte(fake), 0o755)).To(Succeed())
			shell := exec.Command("/bin/sh", "-c", strings.ReplaceAll(command, "%%BALENA_ARCH%%", architecture))
			shell.Env = []string{"PATH=" + bin}
			out, err := shell.CombinedOutput()
			Expect(err == nil).To(Equal(strings.HasPrefix(want, "linux ")), "%v: %s", err, out)
			Expect(strings.TrimSpace(string(out))).To(HavePrefix(want))
		},
		Entry(nil, "aarch64", "linux arm64"),
		Entry(nil, "armv7hf", "linux arm 7"),
		Entry(nil, "rpi", "linux arm 6"),
		Entry(nil, "amd64", "linux amd64"),
		Entry(nil, "i386", "linux 386"),
		Entry(nil, "sparc", "no GOARCH is known for sparc"),
	)
})

var _ = Describe("README.md", func() {
	It("names every file to copy", func() {
		for _, path := range []string{composePath, settingsPath, dockerfilePath, rulesPath, dashboardPath} {
			Expect(read("README.md")).To(ContainSubstring("[" + path + "](" + path + ")"))
		}
	})
})
