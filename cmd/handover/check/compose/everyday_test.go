package compose_test

import (
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// one is a compose file with one service that hands over, with these lines of
// its own.
func one(lines ...string) string {
	return "services:\n  main:\n    labels:\n      io.balena.update.strategy: hand-over\n" +
		"      io.balena.features.supervisor-api: \"1\"\n      io.balena.update.handover-timeout: \"90000\"\n    " +
		strings.Join(lines, "\n    ") + "\n"
}

const guarded = "FROM alpine\nENTRYPOINT [\"/usr/bin/handover\", \"run\", \"--\"]\nCMD [\"/service\"]\n"

// probedBy is a project whose service has that healthcheck.
func probedBy(test string) map[string]string {
	return map[string]string{
		"docker-compose.yml": one("build: .", "healthcheck:", "  test: "+test),
		"Dockerfile":         guarded,
	}
}

var _ = Describe("What people write", func() {
	DescribeTable("is judged by what it means", func(files map[string]string, want ...string) {
		path := project(files)
		Expect(worse(filepath.Dir(path), lint(path))).To(ConsistOf(want))
	},
		Entry("a variable of another program with an unknown value changes nothing", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "devices: [/dev/ttyUSB0]", "environment:", "  DATABASE_URL: ${DB}"),
			"Dockerfile":         strings.Replace(guarded, "ENTRY", "ENV PATH=$PATH:/opt/bin\nENTRY", 1),
		}, "warning compose.grace main docker-compose.yml:8", "warning compose.devices main docker-compose.yml:9"),
		Entry("a setting with an unknown value is not guessed", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "environment:", "  HANDOVER_SERVICE_STOP_GRACE_PERIOD: ${GRACE}"),
			"Dockerfile":         guarded,
		}),
		Entry("a setting that is passed on is not guessed", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "environment:", "  - HANDOVER_SERVICE_STOP_GRACE_PERIOD"),
			"Dockerfile":         guarded,
		}),
		Entry("a file of settings whose name is not known is not guessed", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "environment:", "  HANDOVER_CONFIG: ${SETTINGS}"),
			"Dockerfile":         guarded,
		}),
		Entry("a volume may have a dot in its name", map[string]string{
			"docker-compose.yml": one("build: .", "read_only: true", "volumes: [\"my.data:/var/lib/handover\"]", "stop_grace_period: 90s", "environment:", "  HANDOVER_SERVICE_STOP_GRACE_PERIOD: 90s"),
			"Dockerfile":         guarded,
		}, "warning compose.state-dir main docker-compose.yml:9"),
		Entry("settings that are copied from elsewhere are not guessed", map[string]string{
			"docker-compose.yml": one("build: {context: ., dockerfile: api/Dockerfile}", "stop_grace_period: 90s", "devices: [/dev/ttyUSB0]"),
			"api/Dockerfile":     strings.Replace(guarded, "ENTRY", "COPY api/handover.yaml /etc/handover/\nENTRY", 1),
		}),
		Entry("an image that is built elsewhere may have settings", map[string]string{
			"docker-compose.yml": one("image: ghcr.io/me/app", "stop_grace_period: 90s", "environment:", "  HANDOVER_READINESS_HTTP: http://localhost/"),
		}),
		Entry("an image that nobody sees here is judged as if handover guarded it", map[string]string{
			"docker-compose.yml": one("image: ghcr.io/me/app", "restart: \"no\"", "init: true", "tty: false", "devices: [/dev/ttyUSB0]",
				"network_mode: host", "environment:", "  HANDOVER_NETWORK_MODE: bridge", "healthcheck: {test: [CMD, curl, -f, http://localhost/]}"),
		},
			"warning compose.devices main docker-compose.yml:11",
			"error compose.network main docker-compose.yml:14",
			"warning compose.restart main docker-compose.yml:8",
			"warning compose.init main docker-compose.yml:9",
			"error compose.healthcheck main docker-compose.yml:15"),
		Entry("so is one whose Dockerfile is elsewhere", map[string]string{
			"docker-compose.yml": one("build: .", "restart: \"no\""),
		}, "warning compose.restart main docker-compose.yml:8"),
		Entry("what has another entry point is not", map[string]string{
			"docker-compose.yml": one("image: ghcr.io/me/app", "restart: \"no\"", "entrypoint: [node, server.js]"),
		}, "warning compose.program main docker-compose.yml:2"),
		Entry("a device in an image that is built elsewhere may be had by one at a time", map[string]string{
			"docker-compose.yml": one("image: ghcr.io/me/app", "devices: [/dev/ttyUSB0]", "environment:", "  HANDOVER_POLICY_EXCLUSIVE: \"true\""),
		}),
		Entry("or is not", map[string]string{
			"docker-compose.yml": one("image: ghcr.io/me/app", "devices: [/dev/ttyUSB0]", "environment:", "  HANDOVER_READINESS_HTTP: http://localhost/"),
		}, "warning compose.devices main docker-compose.yml:8"),
		Entry("a start script may start handover", map[string]string{
			"docker-compose.yml": one("build: .", "environment:", "  HANDOVER_READINESS_HTTP: http://localhost/"),
			"Dockerfile":         "FROM alpine\nCMD [\"bash\", \"/usr/src/app/start.sh\"]\n",
		}),
		Entry("settings beside an entry script mean that it does", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s"),
			"Dockerfile":         "FROM alpine\nENTRYPOINT [\"/entrypoint.sh\"]\nHEALTHCHECK CMD curl localhost\n",
			"handover.yaml":      "service:\n  stop_grace_period: 30s\n",
		}, "error compose.healthcheck main Dockerfile:3", "warning compose.grace main docker-compose.yml:8"),
		Entry("npm does not pass the stop signal on", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "environment: {HANDOVER_SERVICE_STOP_GRACE_PERIOD: 90s}"),
			"Dockerfile":         strings.Replace(guarded, `["/service"]`, `["npm", "start"]`, 1),
		}, "warning compose.entrypoint main Dockerfile:3"),
		Entry("balena's variables are for templates", map[string]string{
			"docker-compose.yml": one("build: .", "stop_grace_period: 90s", "environment: {HANDOVER_SERVICE_STOP_GRACE_PERIOD: 90s}"),
			"Dockerfile":         strings.Replace(guarded, "alpine", "balenalib/%%BALENA_MACHINE_NAME%%-node", 1),
		}, "error compose.file main Dockerfile:1"),
		Entry("a copy to a folder called handover does not start it", map[string]string{
			"docker-compose.yml": "services:\n  main:\n    image: x\n    command: [rsync, -a, /src, /dst/handover]\n",
		}),
		Entry("another program's SHUTDOWN_PORT is no handover-lib", map[string]string{
			"docker-compose.yml": "services:\n  a:\n    image: x\n    environment: {SHUTDOWN_PORT: 8005}\n  b:\n    image: y\n    environment: {SHUTDOWN_PORT: 8005}\n",
		}),
		Entry("a list is no variable's value", map[string]string{
			"docker-compose.yml": one("build: .", "environment:", "  HANDOVER_PROCESS_PRE_STOP: [sh, -c, sync]"),
			"Dockerfile":         guarded,
		}, "error compose.file - docker-compose.yml:9"),
		Entry("a colon is no equals sign", map[string]string{
			"docker-compose.yml": one("build: .", "environment:", "  - \"HANDOVER_POLICY_SETTLE: 1s\""),
			"Dockerfile":         guarded,
		}, "error compose.file - docker-compose.yml:9"),
		Entry("a label with a blank is another label", map[string]string{
			"docker-compose.yml": "services:\n  main:\n    image: x\n    labels:\n      - io.balena.update.strategy =hand-over\n",
		}, "error compose.file - docker-compose.yml:5"),
		Entry("a probe whose output is thrown away is one", probedBy("handover probe >/dev/null 2>&1 || exit 1")),
		Entry("a probe with another failure is one", probedBy("handover probe || false")),
		Entry("a probe with more to do if it fails is one", probedBy("handover probe || (echo bad; exit 1)")),
		Entry("a probe with a semicolon is one", probedBy("handover probe;")),
		Entry("a probe with a time limit is one", probedBy("timeout -k 1 5 /usr/bin/handover probe")),
		Entry("a probe with a variable is one", probedBy("exec env TZ=UTC handover probe || exit 1")),
		Entry("a time limit for something else is none", probedBy("timeout 5 curl localhost"), "error compose.healthcheck main docker-compose.yml:9"),
		Entry("a probe that something follows is none", probedBy("handover probe && curl localhost"), "error compose.healthcheck main docker-compose.yml:9"),
		Entry("a probe in the background is none", probedBy("handover probe & curl localhost"), "error compose.healthcheck main docker-compose.yml:9"),
	)

	It("does not say of a service with an error that it hands over", func() {
		bad := one("image: x", "ports: [\"80:80\"]")
		good := strings.Replace(strings.TrimPrefix(one("image: x"), "services:\n"), "  main:", "  other:", 1)
		var ok []string
		for _, f := range lintText(bad + good) {
			if f.Level == check.OK {
				ok = append(ok, f.Service)
			}
		}
		Expect(ok).To(Equal([]string{"other"}))
	})

	It("shows no secret where a colon was written for an equals sign", func() {
		for _, entry := range []string{`"HANDOVER_ANNOUNCE_SECRET: dG9wc2VjcmV0=="`, `HANDOVER_ANNOUNCE_SECRET:dG9wc2VjcmV0==`, `"HANDOVER_ANNOUNCE_SECRET dG9wc2VjcmV0=="`} {
			for _, f := range lintText(one("image: x", "environment:", "  - "+entry)) {
				Expect(f.Found + f.Why + f.Do).NotTo(ContainSubstring("dG9w"))
			}
		}
	})
})
