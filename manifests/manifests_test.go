package manifests_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
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

	proxyDockerfilePath = "proxy/haproxy/Dockerfile"
)

var _ = Describe("The compose files", func() {
	It("are those that are tested", func() {
		found, err := filepath.Glob("*/docker-compose.yml")
		Expect(err).NotTo(HaveOccurred())
		Expect(append(found, composePath)).To(ConsistOf(slices.Collect(maps.Keys(composeExamples))))
	})

	for path := range composeExamples {
		It("are what balena and handover accept: "+path, func() {
			Expect(checkCompose(path, read(path), read(settingsPath))).To(BeEmpty())
		})

		It("may say the same grace period in other words: "+path, func() {
			text := broken(read(path), "PERIOD: 60s", "PERIOD: 1m")
			Expect(checkCompose(path, text, read(settingsPath))).To(BeEmpty())
		})

		It("tell the same about the version and the labels: "+path, func() {
			for _, line := range []string{"version: ", "io.balena.update.strategy: ", "io.balena.update.handover-timeout: ", "io.balena.features.supervisor-api: "} {
				form := regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(line) + ".*$")
				Expect(form.FindString(read(path))).To(Equal(form.FindString(read(composePath))))
			}
		})

		DescribeTable("would be found out if they said something else: "+path,
			func(old, replacement, fault string) {
				text := broken(read(path), old, replacement)
				Expect(checkCompose(path, text, read(settingsPath))).To(ContainElement(ContainSubstring(fault)))
			},
			Entry("something twice", "    build: .\n", "    build: .\n    build: .\n", "already defined"),
			Entry("an unknown field", "    build: .\n", "    buildt: .\n", "services."),
			Entry("a field that balena does not know", "    build: .\n", "    build: .\n    volumes: [\"./a:/a\"]\n", "volumes is no field"),
			Entry("a second document", "\nservices:\n", "\n---\nservices:\n", "second document"),
			Entry("a version that balena does not know", `"2.1"`, `"3.8"`, `version "3.8"`),
			Entry("another folder", "    build: .\n", "    build: ./main\n", "build"),
			Entry("published ports", "    build: .\n", "    build: .\n    ports: [\"80:8080\"]\n", "ports cannot be shared"),
			Entry("a misspelt strategy", "strategy: hand-over", "strategy: handover", `is "handover"`),
			Entry("a misspelt label", "balena.update.strategy: ", "balena.update-strategy: ", "io.balena.update.strategy is missing"),
			Entry("an unknown label", "balena.update.strategy: ", "balena.updates: \"1\"\n      io.balena.update.strategy: ", "io.balena.updates is unknown"),
			Entry("a time-out in seconds", `: "60000"`, `: "60s"`, `is "60s"`),
			Entry("a time-out of none", `: "60000"`, `: "0"`, `is "0"`),
			Entry("a time-out that is a number", `: "60000"`, `: 60000`, "not a text"),
			Entry("a time-out shorter than the grace period", `: "60000"`, `: "59999"`, "less than stop_grace_period"),
			Entry("the API as a boolean", `supervisor-api: "1"`, `supervisor-api: true`, "not a text"),
			Entry("no grace period", "    stop_grace_period: 60s\n", "", "stop_grace_period is missing"),
			Entry("a grace period that is a number", "    stop_grace_period: 60s\n", "    stop_grace_period: 60\n", "stop_grace_period must be a string"),
			Entry("another grace period for the engine", "stop_grace_period: 60s", "stop_grace_period: 30s", "stop_grace_period is 30s"),
			Entry("another grace period for handover", "PERIOD: 60s", "PERIOD: 2m", "PERIOD is 2m0s"),
			Entry("a grace period without a unit", "PERIOD: 60s", "PERIOD: 60", "has no unit"),
			Entry("no grace period for handover", "HANDOVER_SERVICE_STOP_GRACE_PERIOD: 60s", "A: b", "PERIOD is missing"),
			Entry("an unknown variable", "HANDOVER_READINESS_", "HANDOVER_READYNESS_", "no variable of handover"),
			Entry("nothing about a line", "      HANDOVER_SERVICE_STOP_GRACE_PERIOD: 60s", "\n      HANDOVER_SERVICE_STOP_GRACE_PERIOD: 60s", "has no comment above it"),
		)
	}

	DescribeTable("would be found out if one did not show what it is for",
		func(path, old, replacement, fault string) {
			text := broken(read(path), old, replacement)
			Expect(checkCompose(path, text, read(settingsPath))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("another restart policy", composePath, "restart: always", `restart: "no"`, `restart is "no"`),
		Entry("a readiness check of another port", composePath, "localhost:8080", "localhost:8081", "is not exposed"),
		Entry("a proxy without a Dockerfile", "proxy/docker-compose.yml", "build: ./haproxy", "build: ./nginx", `build is "./nginx"`),
		Entry("a proxy that hands over", "proxy/docker-compose.yml", "    ports:\n", "    labels: {io.balena.update.strategy: hand-over}\n    ports:\n", "ports cannot be shared"),
		Entry("a proxy that publishes nothing", "proxy/docker-compose.yml", "    ports:\n      - \"80:8080\"\n", "    labels: {}\n", "published is []"),
		Entry("a port on which the proxy does not listen", "proxy/docker-compose.yml", `"80:8080"`, `"80:80"`, "published is [80]"),
		Entry("another name than the proxy's", "proxy/docker-compose.yml", "\n  main:\n", "\n  front:\n", "HAProxy sends to main"),
		Entry("the proxy's checks elsewhere", "proxy/docker-compose.yml", "LISTEN: 0.0.0.0:9155", "LISTEN: 0.0.0.0:9156", "HAProxy asks on port 9155"),
		Entry("no port for the checks", "proxy/docker-compose.yml", "      - \"9155\"\n", "", "exposes [8080]"),
		Entry("no time to be found", "proxy/docker-compose.yml", "SETTLE: 3s", "SETTLE: 2s", "policy.settle is 2s"),
		Entry("no time to be lost", "proxy/docker-compose.yml", "DRAIN_DELAY: 3s", "DRAIN_DELAY: 2s", "policy.drain_delay is 2s"),
		Entry("no time to become ready", "proxy/docker-compose.yml", "SETTLE: 3s", "SETTLE: 50s", "to become ready"),
		Entry("no exclusive resource", "serial/docker-compose.yml", `EXCLUSIVE: "true"`, `EXCLUSIVE: "false"`, "policy.exclusive is off"),
		Entry("an unquoted boolean", "serial/docker-compose.yml", `EXCLUSIVE: "true"`, `EXCLUSIVE: yes please`, "not a boolean"),
		Entry("no device", "serial/docker-compose.yml", "    devices:\n      - \"/dev/ttyUSB0:/dev/ttyUSB0\"\n", "", "there is no device"),
		Entry("another device", "serial/docker-compose.yml", `"/dev/ttyUSB0:/dev/ttyUSB0"`, `"/dev/ttyUSB0:/dev/ttyUSB1"`, "does not ask for /dev/ttyUSB1"),
		Entry("nobody to take it back", "serial/docker-compose.yml", "STANDBY: 20s", "STANDBY: 0s", "policy.standby is off"),
		Entry("a preflight command that is no list", "serial/docker-compose.yml", `'["test", "-c", "/dev/ttyUSB0"]'`, `'["test", "-c"'`, "HANDOVER_PROCESS_PREFLIGHT"),
		Entry("a network of its own", "host/docker-compose.yml", "    network_mode: host\n", "", `network_mode is ""`),
		Entry("another mode of handover", "host/docker-compose.yml", "NETWORK_MODE: host", "NETWORK_MODE: bridge", `network.mode is "bridge"`),
		Entry("the device's own network", "host/docker-compose.yml", "supervisor0", "eth0", `network.interface is "eth0"`),
		Entry("a readiness check that the old one answers", "host/docker-compose.yml", "HANDOVER_READINESS_FILE: /tmp/ready", "HANDOVER_READINESS_TCP: localhost:8080", "the old service could answer"),
	)
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

// dockerfilePaths are the templates of services, each with the language.
var dockerfilePaths = map[string]string{
	dockerfilePath: "Node.js", "python/Dockerfile.template": "Python", "go/Dockerfile.template": "Go",
}

// forDevice is how each template finds the processor to build for, up to the
// flags that are handover's.
const forDevice = `case "%%BALENA_ARCH%%" in \
      aarch64) GOARCH=arm64 ;; \
      armv7hf) GOARCH=arm GOARM=7 ;; \
      rpi)     GOARCH=arm GOARM=6 ;; \
      amd64)   GOARCH=amd64 ;; \
      i386)    GOARCH=386 ;; \
      *)       echo "no GOARCH is known for %%BALENA_ARCH%%: add a line" >&2; exit 1 ;; \
    esac && \
    export GOARCH GOARM && \
    CGO_ENABLED=0 GOOS=linux \
      go build -trimpath -tags`

const entryLine = "\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]\n"

var _ = Describe("The Dockerfiles", func() {
	It("are those that are tested", func() {
		var found []string
		Expect(filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(entry.Name(), "Dockerfile") {
				found = append(found, path)
			}
			return err
		})).To(Succeed())
		Expect(found).To(ConsistOf(append(slices.Collect(maps.Keys(dockerfilePaths)), proxyDockerfilePath)))
	})

	for path, language := range dockerfilePaths {
		It("start and check the service with the binary that .ci/run builds: "+language, func() {
			Expect(checkDockerfile(read(path), read(ciPath), read(modPath))).To(BeEmpty())
		})

		It("do so, too, with each line behind a # in the place of its like: "+language, func() {
			others := others(read(path))
			Expect(others).To(ContainElement(ContainSubstring("\nFROM balenalib/")))
			Expect(others).To(ContainElement(ContainSubstring("\nENTRYPOINT [\"/usr/bin/entry.sh\", ")))
			for line, text := range others {
				Expect(checkDockerfile(text, read(ciPath), read(modPath))).To(BeEmpty(), line)
			}
		})

		It("build handover in the same way: "+language, func() {
			stage := func(path string) string {
				text := read(path)
				return text[strings.Index(text, "# ---- Stage 1"):strings.Index(text, "# ---- Stage 2")]
			}
			Expect(stage(path)).To(Equal(stage(dockerfilePath)))
		})

		DescribeTable("would be found out if they said something else: "+language,
			func(old, replacement, fault string) {
				text := broken(read(path), old, replacement)
				Expect(checkDockerfile(text, read(ciPath), read(modPath))).To(ContainElement(ContainSubstring(fault)))
			},
			Entry("an entry point for a shell", entryLine, "\nENTRYPOINT /usr/bin/handover run --\n", "ENTRYPOINT is [\"/usr"),
			Entry("an entry point that is no JSON", entryLine, "\nENTRYPOINT ['/usr/bin/handover', 'run', '--']\n", "ENTRYPOINT is [\"["),
			Entry("an entry point without the dashes", entryLine, "\nENTRYPOINT [\"/usr/bin/handover\", \"run\"]\n", "ENTRYPOINT is ["),
			Entry("another program", entryLine, "\nENTRYPOINT [\"/usr/local/bin/handover\", \"run\", \"--\"]\n", "ENTRYPOINT is ["),
			Entry("another program first", entryLine, "\nENTRYPOINT [\"/bin/init\", \"/usr/bin/handover\", \"run\", \"--\"]\n", "ENTRYPOINT is ["),
			Entry("two entry points", "\nCMD ", "\nENTRYPOINT [\"/bin/sh\"]\nCMD ", "2 ENTRYPOINTs"),
			Entry("no command", "\nCMD [", "\n# CMD [", "no CMD"),
			Entry("a command of nothing", "\nCMD [", "\nCMD []\n# [", "no CMD"),
			Entry("a command for a shell", "\nCMD [", "\nCMD exec [", "CMD is not in exec form"),
			Entry("two commands", entryLine, entryLine+"CMD [\"x\"]\n", "2 CMDs"),
			Entry("another check", `"probe"]`, `"status"]`, "HEALTHCHECK is"),
			Entry("a check for a shell", `HEALTHCHECK CMD ["/usr/bin/handover", "probe"]`, "HEALTHCHECK CMD /usr/bin/handover probe", "HEALTHCHECK is"),
			Entry("no check", "\nHEALTHCHECK CMD [\"/usr/bin/handover\", \"probe\"]", "", "0 HEALTHCHECKs"),
			Entry("the base image's check off", "\nHEALTHCHECK CMD [\"/usr/bin/handover\", \"probe\"]", "\nHEALTHCHECK NONE", "HEALTHCHECK is"),
			Entry("a stage that is none", "--from=handover", "--from=builder", `no stage "builder"`),
			Entry("another place of the binary", "/out/handover /usr/bin/handover", "/out/handover /bin/handover", "is not copied"),
			Entry("another output", "-o /out/handover", "-o /handover", "builds with"),
			Entry("other linker flags", `-ldflags="-s -w -X`, `-ldflags="-s -X`, "builds with"),
			Entry("another variable for the version", "-X main.version=", "-X main.Version=", "builds with"),
			Entry("other build tags", "-tags nethttpomithttp2", "-tags netgo", "builds with"),
			Entry("paths of the build machine", "-trimpath -tags", "-tags", "builds with"),
			Entry("a binary that needs a C library", "CGO_ENABLED=0 GOOS=linux \\\n      go build -trimpath -tags", "GOOS=linux \\\n      go build -trimpath -tags", "builds with"),
			Entry("another package", "./cmd/handover\n", ".\n", "builds with"),
			Entry("an old Go", "golang:1.26-alpine AS handover", "golang:1.20-alpine AS handover", "builds in golang:1.20"),
			Entry("no settings", "COPY handover.yaml", "COPY other.yaml", "handover.yaml is not copied"),
			Entry("an unknown variable", forDevice, "CGO_ENABLED=0 GOARCH=%%ARCH%% go build -trimpath -tags", "%%ARCH%% is no variable of balena's"),
			Entry("a flag of BuildKit", "COPY --from=handover", "COPY --link --from=handover", "--link needs BuildKit"),
			Entry("another flag of BuildKit", "COPY handover.yaml", "COPY --chmod=644 handover.yaml", "--chmod=644 needs BuildKit"),
			Entry("a mount of BuildKit", "AS handover\n", "AS handover\nRUN --mount=type=cache,target=/root/.cache true\n", "--mount=type=cache,target=/root/.cache needs BuildKit"),
			Entry("a heredoc", "AS handover\n", "AS handover\nRUN <<END\ntrue\nEND\n", "a heredoc needs BuildKit"),
			Entry("a syntax of BuildKit", "# An example for balena:", "# syntax=docker/dockerfile:1\n# An example for balena:", "syntax=docker/dockerfile:1 needs BuildKit"),
			Entry("a platform of BuildKit", "FROM golang:1.26-alpine AS handover", "FROM --platform=linux/amd64 golang:1.26-alpine AS handover", "--platform=linux/amd64 needs BuildKit"),
			Entry("a variable of BuildKit", "AS handover\n", "AS handover\nARG TARGETARCH\n", "TARGETARCH is set by BuildKit alone"),
			Entry("a misspelt instruction", "COPY handover/ ./\n", "COPYS handover/ ./\n", "unknown instruction: COPYS"),
			Entry("an instruction without arguments", "COPY handover/ ./\n", "COPY handover/\n", "does not parse"),
			Entry("an empty line in an instruction", forDevice, "true && \\\n\n    CGO_ENABLED=0 go build -trimpath -tags", "Empty continuation line"),
		)

		It("would be found out if the command came before the entry point: "+language, func() {
			text := broken(read(path), entryLine, "\n") + entryLine
			Expect(checkDockerfile(text, read(ciPath), read(modPath))).To(ContainElement(ContainSubstring("no CMD after")))
		})

		DescribeTable("build for the device, not for the machine that builds: "+language,
			func(architecture, want string) {
				d, err := parseDockerfile(read(path))
				Expect(err).NotTo(HaveOccurred())
				var commands []string
				for _, s := range d.stages {
					commands = append(commands, buildCommands(s)...)
				}
				Expect(commands).NotTo(BeEmpty())

				bin := GinkgoT().TempDir()
				fake := "#!/bin/sh\necho \"$GOOS $GOARCH $GOARM\"\n"
				Expect(os.WriteFile(filepath.Join(bin, "go"), []byte(fake), 0o755)).To(Succeed())
				for _, command := range commands {
					shell := exec.Command("/bin/sh", "-c", strings.ReplaceAll(command, "%%BALENA_ARCH%%", architecture))
					shell.Env = []string{"PATH=" + bin}
					out, err := shell.CombinedOutput()
					Expect(err == nil).To(Equal(strings.HasPrefix(want, "linux ")), "%v: %s", err, out)
					Expect(strings.TrimSpace(string(out))).To(HavePrefix(want))
				}
			},
			Entry(nil, "aarch64", "linux arm64"),
			Entry(nil, "armv7hf", "linux arm 7"),
			Entry(nil, "rpi", "linux arm 6"),
			Entry(nil, "amd64", "linux amd64"),
			Entry(nil, "i386", "linux 386"),
			Entry(nil, "sparc", "no GOARCH is known for sparc"),
		)
	}

	It("make the folders that an empty image does not have", func() {
		d, err := parseDockerfile(read("go/Dockerfile.template"))
		Expect(err).NotTo(HaveOccurred())
		Expect(d.last().BaseName).To(Equal("scratch"))
		script, ok := d.rootScript()
		Expect(ok).To(BeTrue())
		folder := GinkgoT().TempDir()
		out, err := exec.Command("/bin/sh", "-c", "umask 022; "+strings.ReplaceAll(script, root, folder)).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)

		loaded, err := load("")
		Expect(err).NotTo(HaveOccurred())
		for path, mode := range map[string]fs.FileMode{
			filepath.Dir(loaded.Config.Status.Socket): fs.ModeDir | fs.ModeSticky | 0o777,
			loaded.Config.Service.StateDir:            fs.ModeDir | 0o755,
		} {
			info, err := os.Stat(filepath.Join(folder, path))
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode()).To(Equal(mode), path)
		}
	})

	DescribeTable("would be found out if the one for Go lacked something",
		func(old, replacement, fault string) {
			text := broken(read("go/Dockerfile.template"), old, replacement)
			Expect(checkDockerfile(text, read(ciPath), read(modPath))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("the folders", "COPY --from=service /rootfs/ /\n", "", "no stage makes the folders"),
		Entry("what makes them", "RUN mkdir -p /rootfs/tmp /rootfs/var/lib/handover && chmod 1777 /rootfs/tmp", "", "no stage makes the folders"),
		Entry("the program", "/out/service /usr/bin/service\n", "/out/service /bin/service\n", "the program that CMD names"),
		Entry("its independence of a C library", "CGO_ENABLED=0 GOOS=linux \\\n      go build -trimpath -ldflags='-s -w' -o /out/service", "GOOS=linux \\\n      go build -trimpath -ldflags='-s -w' -o /out/service", "needs a C library"),
		Entry("a shell", "FROM scratch\n", "FROM scratch\nRUN true\n", "nothing to run in an empty image"),
	)

	It("of the proxy adds its settings to HAProxy's image and nothing else", func() {
		d, err := parseDockerfile(read(proxyDockerfilePath))
		Expect(err).NotTo(HaveOccurred())
		Expect(d.checkClassic(read(proxyDockerfilePath))).To(BeEmpty())
		Expect(d.stages).To(HaveLen(1))
		Expect(d.last().BaseName).To(MatchRegexp(`^haproxy:3\.[1-9]\d*-alpine$`))
		Expect(d.last().Commands).To(HaveLen(1))
		copied := all[*instructions.CopyCommand](d.last())
		Expect(copied).To(HaveLen(1))
		Expect(copied[0].SourcePaths).To(HaveExactElements(filepath.Base(haproxyPath)))
		Expect(copied[0].DestPath).To(Equal("/usr/local/etc/haproxy/haproxy.cfg"))
	})
})

// configs are the settings of a compose file's services that hand over.
func configs(file composeFile) map[string]config.Config {
	GinkgoHelper()
	found := map[string]config.Config{}
	for name, s := range file.services {
		if isFront(s) {
			continue
		}
		c, wrong := loadEnvironment(s, "")
		Expect(wrong).To(BeEmpty())
		found[name] = c
	}
	return found
}

var _ = Describe("README.md", func() {
	It("names every file to copy", func() {
		Expect(filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil || entry.IsDir() && entry.Name() != "testdata":
				return err
			case entry.IsDir():
				return fs.SkipDir
			}
			if name := entry.Name(); name != "README.md" && !strings.HasSuffix(name, "_test.go") {
				Expect(read("README.md")).To(ContainSubstring("[" + path + "](" + path + ")"))
			}
			return nil
		})).To(Succeed())
	})
})
