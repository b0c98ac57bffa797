package config_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing/iotest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

var _ = Describe("Errors", func() {
	DescribeTable("in the file name its line, the key, the value, what is wrong and what is allowed",
		func(content string, line int, key, value, message, allowed string) {
			found := problemsOf(content)
			Expect(found).To(HaveLen(1))
			p := found[0]
			Expect(p.File).To(Equal("handover.yaml"))
			Expect(p.Line).To(Equal(line))
			Expect(p.Key).To(Equal(key))
			Expect(p.Value).To(Equal(value))
			Expect(p.Message).To(ContainSubstring(message))
			Expect(p.Allowed).To(ContainSubstring(allowed))
			Expect(p.Error()).To(HavePrefix(fmt.Sprintf("handover.yaml:%d: %s: ", line, key)))
		},
		Entry("duration without unit", "policy:\n  settle: 5\n", 2, "policy.settle", "5", "has no unit", "10s"),
		Entry("duration with a fraction and no unit", "policy: {settle: 0.5}", 1, "policy.settle", "0.5", "has no unit", "500ms"),
		Entry("no duration", "policy: {settle: soon}", 1, "policy.settle", "soon", "is not a duration", "10s"),
		Entry("negative duration", "policy: {settle: -1s}", 1, "policy.settle", "-1s", "is negative", "from 0s"),
		Entry("huge duration", "policy: {settle: 999999h}", 1, "policy.settle", "999999h", "is more than 24h", "to 24h"),
		Entry("duration past int64", "policy: {settle: 99999999999h}", 1, "policy.settle", "99999999999h", "is not a duration", ""),
		Entry("zero where there must be more", "service: {stop_grace_period: 0}", 1, "service.stop_grace_period", "0", "is less than 1s", ""),
		Entry("no time to hear a successor", "policy: {discovery: 0s}", 1, "policy.discovery", "0s", "is less than 1s", "from 1s to 24h"),
		Entry("no time for the Supervisor", "policy: {unknown_after: 0}", 1, "policy.unknown_after", "0", "is less than 1s", "from 1s to 24h"),
		Entry("no time to drain", "policy: {drain_timeout: 0}", 1, "policy.drain_timeout", "0", "is less than 100ms", ""),
		Entry("no time to drain after a hold", "policy: {drain_reserve: 0}", 1, "policy.drain_reserve", "0", "is less than 100ms", ""),
		Entry("no time to answer", "supervisor: {timeout: 100ms}", 1, "supervisor.timeout", "100ms", "is less than 500ms", ""),
		Entry("no time for a check", "readiness: {timeout: 10ms}", 1, "readiness.timeout", "10ms", "is less than 100ms", ""),
		Entry("a check that never ends", "readiness: {serving_period: 0}", 1, "readiness.serving_period", "0", "is less than 100ms", ""),
		Entry("asking too often", "supervisor: {poll_interval: 99ms}", 1, "supervisor.poll_interval", "99ms", "is less than 100ms", ""),
		Entry("port out of range", "network: {port: 99999}", 1, "network.port", "99999", "is out of range", "1 to 65535"),
		Entry("port past int64", "network: {port: 99999999999999999999}", 1, "network.port", "99999999999999999999", "is out of range", ""),
		Entry("port zero", "network: {port: 0}", 1, "network.port", "0", "is out of range", ""),
		Entry("hexadecimal", "network: {port: 0x600}", 1, "network.port", "0x600", "is not a whole number", ""),
		Entry("octal", "network: {port: 01536}", 1, "network.port", "01536", "octal", ""),
		Entry("fraction", "network: {port: 1.5}", 1, "network.port", "1.5", "is not a whole number", ""),
		Entry("minus zero", "announce: {status_port: -0}", 1, "announce.status_port", "-0", "is not a whole number", ""),
		Entry("yes", "policy: {exclusive: yes}", 1, "policy.exclusive", "yes", "is not a boolean", "true or false"),
		Entry("one", "policy: {exclusive: 1}", 1, "policy.exclusive", "1", "is not a boolean", "true or false"),
		Entry("unknown word", "network: {mode: hots}", 1, "network.mode", "hots", "is not among", "auto, bridge or host"),
		Entry("word in capitals", "log: {level: INFO}", 1, "log.level", "INFO", "is not among", "debug"),
		Entry("empty word", "log: {level: ''}", 1, "log.level", "", "is empty", "debug"),
		Entry("unicast group", "network: {group: 10.0.0.1}", 1, "network.group", "10.0.0.1", "is not a multicast address", "IPv4 multicast"),
		Entry("IPv6 group", "network: {group: 'ff02::1'}", 1, "network.group", "ff02::1", "is not an IPv4 address", ""),
		Entry("IPv4 in IPv6", "network: {group: '::ffff:239.1.1.1'}", 1, "network.group", "::ffff:239.1.1.1", "is not an IPv4 address", ""),
		Entry("no address", "network: {group: here}", 1, "network.group", "here", "is not an IP address", ""),
		Entry("long interface", "network: {interface: abcdefghijklmnop}", 1, "network.interface", "abcdefghijklmnop", "cannot be", "15 bytes"),
		Entry("relative path", "policy: {complete_path: tmp/x}", 1, "policy.complete_path", "tmp/x", "is not an absolute path", "absolute"),
		Entry("a folder for a file", "policy: {complete_path: /tmp/}", 1, "policy.complete_path", "/tmp/", "names a folder", "file"),
		Entry("relative folder", "announce: {folder: x}", 1, "announce.folder", "x", "is not an absolute path", "or off"),
		Entry("long socket", "status: {socket: /"+strings.Repeat("x", 107)+"}", 1, "status.socket",
			"/"+strings.Repeat("x", 59)+"…", "is longer than 107 bytes", "or off"),
		Entry("short container id", "service: {container_id: abc}", 1, "service.container_id", "abc", "has 3 digits", "12 to 64"),
		Entry("container id that is none", "service: {container_id: my-container}", 1, "service.container_id", "my-container", "has other characters", "hexadecimal"),
		Entry("text with a line break", "service:\n  name: |\n    x\n", 2, "service.name", "x\n", "line break", "one line"),
		Entry("NUL", `service: {name: "a\0b"}`, 1, "service.name", "a\x00b", "NUL", ""),
		Entry("long text", "service: {app_id: "+strings.Repeat("1", 256)+"}", 1, "service.app_id",
			strings.Repeat("1", 60)+"…", "is longer than 255 bytes", ""),
		Entry("URL of another scheme", "readiness: {http: 'ftp://x/'}", 1, "readiness.http", "ftp://x/", "is not an http or https URL", "http://"),
		Entry("URL without host", "readiness: {http: 'http:///x'}", 1, "readiness.http", "http:///x", "has no host", ""),
		Entry("URL with a bad port", "readiness: {http: 'http://x:99999/'}", 1, "readiness.http", "http://x:99999/", "out of range", ""),
		Entry("no URL", "supervisor: {address: '127.0.0.1:48484'}", 1, "supervisor.address", "127.0.0.1:48484", "is not a URL", "http://"),
		Entry("a path of the Supervisor", "supervisor: {address: 'http://10.0.0.1:48484/v2/'}", 1, "supervisor.address", "http://10.0.0.1:48484/v2/", "has a path", "without user, path"),
		Entry("a URL for a host name", "status: {names: 'https://device.example.com/'}", 1, "status.names", "https://device.example.com/", "is no host name", "a host name or a list of them"),
		Entry("host names in brackets", "status: {names: []}", 1, "status.names", "[]", "is an empty list", ""),
		Entry("no port", "readiness: {tcp: localhost}", 1, "readiness.tcp", "localhost", "is not host:port", ""),
		Entry("port name", "readiness: {tcp: 'localhost:http'}", 1, "readiness.tcp", "localhost:http", "not a number", ""),
		Entry("port zero to connect to", "readiness: {tcp: 'localhost:0'}", 1, "readiness.tcp", "localhost:0", "out of range", "from 1"),
		Entry("bad host", "status: {listen: 'a b:80'}", 1, "status.listen", "a b:80", "neither a name nor an address", ""),
		Entry("unknown signal", "process: {stop_signal: SIGFOO}", 1, "process.stop_signal", "SIGFOO", "is not a signal", "SIGTERM"),
		Entry("signal zero", "process: {stop_signal: 0}", 1, "process.stop_signal", "0", "is not a signal", ""),
		Entry("signal past the last", "process: {stop_signal: SIGRTMIN+31}", 1, "process.stop_signal", "SIGRTMIN+31", "is not a signal", ""),
		Entry("signal that only suspends", "process: {stop_signal: STOP}", 1, "process.stop_signal", "STOP", "only suspends", ""),
		Entry("blank command", "process: {pre_stop: '  '}", 1, "process.pre_stop", "  ", "is blank", "list of strings"),
		Entry("empty command", "process: {pre_stop: []}", 1, "process.pre_stop", "[]", "is an empty list", ""),
		Entry("command without program", "process: {pre_stop: ['', a]}", 1, "process.pre_stop", `["", "a"]`, "no program", ""),
		Entry("list in a command", "process:\n  pre_stop:\n    - a\n    - [b]\n", 4, "process.pre_stop", "", "not a string", "list"),
		Entry("null in a command", "process: {pre_stop: [a, ~]}", 1, "process.pre_stop", "", "not a string", "list"),
		Entry("list for a text", "service: {name: [a]}", 1, "service.name", "", "a list is not allowed", "text"),
		Entry("mapping for a text", "service: {name: {a: b}}", 1, "service.name", "", "a mapping is not allowed", "text"),
		Entry("tag", "service: {name: !!binary aGVsbG8=}", 1, "service.name", "", "tag", "text"),
		Entry("text for a section", "log: debug\n", 1, "log", "debug", "where a mapping is wanted", "level, format"),
		Entry("list for a section", "log: [a]\n", 1, "log", "", "where a mapping is wanted", "level, format"),
		Entry("key twice", "log:\n  level: info\n  level: warn\n", 3, "log.level", "", "first on line 2", ""),
		Entry("section twice", "log:\n  level: info\nlog:\n  format: json\n", 3, "log", "", "first on line 1", ""),
		Entry("merge of no mapping", "log:\n  <<: 3\n", 2, "log.<<", "", "does not merge a mapping", "alias"),
	)

	DescribeTable("of unknown keys name the nearest known one",
		func(content, key, nearest, hint string) {
			found := problemsOf(content)
			Expect(found).To(HaveLen(1))
			Expect(found[0].Key).To(Equal(key))
			Expect(found[0].Message).To(Equal("is not a known key"))
			Expect(found[0].Nearest).To(Equal(nearest))
			Expect(found[0].Hint).To(ContainSubstring(hint))
			Expect(found[0].Allowed).NotTo(BeEmpty())
		},
		Entry("typing error", "policy: {setle: 1s}", "policy.setle", "policy.settle", ""),
		Entry("camel case", "service: {appId: x}", "service.appId", "service.app_id", ""),
		Entry("hyphen", "policy: {drain-delay: 1s}", "policy.drain-delay", "policy.drain_delay", ""),
		Entry("section", "polcy: {settle: 1s}", "polcy", "policy", ""),
		Entry("capitals", "Policy: {settle: 1s}", "Policy", "policy", ""),
		Entry("other section", "service: {drain_delay: 1s}", "service.drain_delay", "policy.drain_delay", "below policy:"),
		Entry("no section", "drain_delay: 1s", "drain_delay", "policy.drain_delay", "below policy:"),
		Entry("dots", "policy.settle: 1s", "policy.settle", "policy.settle", "put settle below policy:"),
		Entry("beginning", "policy: {drain_time: 1s}", "policy.drain_time", "policy.drain_timeout", ""),
		Entry("glued", "log: {level:info}", "log.level:…", "log.level", "colon and a space"),
		Entry("nothing like it", "policy: {frobnicate: 1s}", "policy.frobnicate", "", ""),
	)

	DescribeTable("in what is not YAML name the line", func(content string, line int, message string) {
		found := problemsOf(content)
		Expect(found).To(HaveLen(1))
		Expect(found[0].Error()).To(HavePrefix(fmt.Sprintf("handover.yaml:%d: ", line)))
		Expect(found[0].Message).To(ContainSubstring(message))
	},
		Entry("two colons", "log:\n  level: a: b\n", 2, "mapping values"),
		Entry("wrong indentation", "log:\n  level: info\n format: text\n", 3, "did not find expected key"),
		Entry("list in a mapping", "log:\n  level: info\n  - x\n", 3, "did not find expected key"),
		Entry("open bracket", "log:\n  level: info\nprocess:\n  pre_stop: [a\n", 4, "did not find expected"),
		Entry("tab", "log:\n\tlevel: info\n", 2, "cannot start any token"),
		Entry("control character", "log:\n  level: \x01\n", 2, "control characters"),
		Entry("invalid UTF-8", "log:\n  level: \xff\n", 2, "UTF-8"),
		Entry("unknown alias", "log:\n  level: *x\n", 2, "no anchor"),
		Entry("second document", "log:\n  level: info\n---\nlog: {}\n", 3, "second document"),
		Entry("text", "just text\n", 1, "does not hold a mapping"),
		Entry("list", "\n- a\n", 2, "does not hold a mapping"),
		Entry("list as a key", "log:\n  ? [a]\n  : b\n", 2, "a key is not plain text"),
	)

	DescribeTable("in the environment name the variable", func(variable, value, key, message string) {
		found := problemsOf("", variable+"="+value)
		Expect(found).To(HaveLen(1))
		Expect(found[0].Source).To(Equal(variable))
		Expect(found[0].Key).To(Equal(key))
		Expect(found[0].Value).To(Equal(value))
		Expect(found[0].Message).To(ContainSubstring(message))
		Expect(found[0].Error()).To(HavePrefix(variable + ": " + key + ": "))
	},
		Entry("own", "HANDOVER_POLICY_SETTLE", "5", "policy.settle", "no unit"),
		Entry("handover-lib's port", "SHUTDOWN_PORT", "nonsense", "network.port", "not a whole number"),
		Entry("handover-lib's group", "SHUTDOWN_BROADCAST_ADDRESS", "1.2.3.4", "network.group", "not a multicast"),
		Entry("handover-lib's status port", "HANDOVER_STATUS_PORT", "1537x", "announce.status_port", "not a whole number"),
		Entry("balena's address", "BALENA_SUPERVISOR_ADDRESS", "nowhere", "supervisor.address", "http"),
		Entry("boolean", "HANDOVER_ANNOUNCE_LEGACY", "no", "announce.legacy", "not a boolean"),
		Entry("bad list", "HANDOVER_PROCESS_PRE_STOP", `["a"`, "process.pre_stop", "not a list of strings in JSON"),
		Entry("list of numbers", "HANDOVER_PROCESS_PRE_STOP", `[1]`, "process.pre_stop", "not a list of strings in JSON"),
		Entry("null in a list", "HANDOVER_PROCESS_PRE_STOP", `["a",null]`, "process.pre_stop", "not a list of strings in JSON"),
		Entry("invalid UTF-8", "HANDOVER_SERVICE_NAME", "\xff", "service.name", "UTF-8"),
	)

	DescribeTable("of relations name the inequality, both values and both origins",
		func(content string, environ []string, where string, parts ...string) {
			found := problemsOf(content, environ...)
			Expect(found).To(HaveLen(1))
			Expect(found[0].Where()).To(Equal(where))
			for _, part := range parts {
				Expect(found[0].Message).To(ContainSubstring(part))
			}
			Expect(found[0].Hint).NotTo(BeEmpty())
		},
		Entry("drain and grace period", "policy:\n  drain_delay: 7s\n", nil, "handover.yaml:2",
			"policy.drain_delay (7s, handover.yaml:2) + policy.drain_reserve (3s, default) + 500ms = 10.5s",
			"less than service.stop_grace_period (10s, default)"),
		Entry("exactly the grace period", "policy:\n  drain_delay: 6500ms\n", nil, "handover.yaml:2", "= 10s must be less than"),
		Entry("from the environment", "", []string{"HANDOVER_SERVICE_STOP_GRACE_PERIOD=2s"}, "HANDOVER_SERVICE_STOP_GRACE_PERIOD",
			"service.stop_grace_period (2s, HANDOVER_SERVICE_STOP_GRACE_PERIOD)"),
		Entry("expiry and interval", "announce:\n  expire_after: 20s\n", []string{"HANDOVER_ANNOUNCE_INTERVAL=8s"}, "handover.yaml:2",
			"announce.expire_after (20s, handover.yaml:2) must be at least 3 × announce.interval (8s, HANDOVER_ANNOUNCE_INTERVAL) = 24s"),
		Entry("two kinds of readiness", "readiness:\n  notify: true\n  file: /x\n", nil, "handover.yaml:3",
			"readiness.file (handover.yaml:3) and readiness.notify (handover.yaml:2) are set"),
		Entry("a kind and a time", "readiness:\n  after: 0s\n", []string{"HANDOVER_READINESS_TCP=:80"}, "HANDOVER_READINESS_TCP",
			"readiness.tcp (HANDOVER_READINESS_TCP) and readiness.after (handover.yaml:2) are set"),
		Entry("required Supervisor without address", "supervisor:\n  mode: required\n", nil, "handover.yaml:2",
			"supervisor.mode (required, handover.yaml:2) needs supervisor.address"),
		Entry("one port for both", "", []string{"SHUTDOWN_PORT=1537"}, "SHUTDOWN_PORT",
			"announce.status_port (1537, default) must differ from network.port (1537, SHUTDOWN_PORT)"),
		Entry("status messages where handover-lib listens for announcements", "network: {port: 1600}\n", []string{"HANDOVER_STATUS_PORT=1536"},
			"HANDOVER_STATUS_PORT", "announce.status_port (1536, HANDOVER_STATUS_PORT) must not be 1536"),
		Entry("announcements where handover-lib listens for status messages", "network: {port: 1537}\nannounce: {status_port: 1600}\n", nil,
			"handover.yaml:1", "network.port (1537, handover.yaml:1) must not be 1537"),
		Entry("announcements there, and no status messages", "network: {port: 1537}\nannounce: {status_port: 0}\n", nil,
			"handover.yaml:1", "network.port (1537, handover.yaml:1) must not be 1537"),
	)

	It("leaves out relations between values that are wrong themselves", func() {
		found := problemsOf("policy: {drain_delay: 20}\nsupervisor: {mode: required, address: x}\n")
		Expect(found).To(HaveLen(2))
	})

	It("come all at once, those of the file first, by line, then warnings", func() {
		_, err := load("policy:\n  drain_delay: 20s\n  setle: 1s\nlog: {level: loud}\n",
			"SHUTDOWN_PORT=x", "HANDOVER_SUPERVISOR_MODE=required", "HANDOVER_SUPERVISOR_ADRESS=http://x")
		var places []string
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, " ") {
				place, _, _ := strings.Cut(line, ": ")
				places = append(places, place)
			}
		}
		Expect(places).To(HaveExactElements(
			"handover.yaml:2", "handover.yaml:3", "handover.yaml:4", "SHUTDOWN_PORT", "HANDOVER_SUPERVISOR_MODE", "warning"))
		Expect(err).To(MatchError(ContainSubstring("HANDOVER_SUPERVISOR_ADDRESS")))
	})

	It("are bounded, for a file that is something else", func() {
		var b strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&b, "key%d: x\n", i)
		}
		found := problemsOf(b.String())
		Expect(len(found)).To(BeNumerically("~", 100, 1))
		Expect(found[len(found)-1].Message).To(ContainSubstring("the rest is not shown"))
	})

	It("show a problem in full", func() {
		Expect(problemsOf("policy:\n  setle: 5\n")[0].Error()).To(Equal(strings.Join([]string{
			`handover.yaml:2: policy.setle: "5" is not a known key`,
			"    allowed: settle, discovery, unknown_after, drain_delay, drain_timeout, drain_reserve, defer_limit, standby, exclusive, complete_path",
			"    nearest known key: policy.settle",
		}, "\n")))
	})
})

var _ = Describe("A file that cannot be read", func() {
	problem := func(o config.Options) config.Problem {
		GinkgoHelper()
		_, err := config.Load(o)
		var all *config.Error
		Expect(errors.As(err, &all)).To(BeTrue())
		Expect(all.Problems).To(HaveLen(1))
		return all.Problems[0]
	}
	failing := func(err error) func(string) (io.ReadCloser, error) {
		return func(string) (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(err)), nil }
	}

	It("is an error if it was named and does not exist", func() {
		p := problem(config.Options{Path: "/none", Open: files(nil)})
		Expect(p.Error()).To(HavePrefix("/none: the file does not exist"))
		Expect(p).To(MatchError(fs.ErrNotExist))
		p = problem(config.Options{Environ: []string{"HANDOVER_CONFIG=/none"}, Open: files(nil)})
		Expect(p.Error()).To(HavePrefix("/none (from HANDOVER_CONFIG): the file does not exist"))
	})

	It("is an error if it may not be read, named or not", func() {
		p := problem(config.Options{Open: failing(fs.ErrPermission)})
		Expect(p.Error()).To(HavePrefix("handover.yaml: the file cannot be read: permission denied"))
		p = problem(config.Options{Open: failing(&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO})})
		Expect(p.Error()).To(Equal("handover.yaml: the file cannot be read: input/output error"))
	})

	It("is an error if it is too large", func() {
		p := problem(config.Options{Open: only(strings.Repeat("#", 1<<20+1))})
		Expect(p.Message).To(ContainSubstring("larger than 1 MiB"))
		_, err := load(strings.Repeat("#", 1<<20))
		Expect(err).NotTo(HaveOccurred())
	})

	It("is an error if it is a folder, as Docker makes one", func() {
		dir := GinkgoT().TempDir()
		Expect(os.Mkdir(filepath.Join(dir, "handover.yaml"), 0o700)).To(Succeed())
		p := problem(config.Options{Dir: dir})
		Expect(p.Message).To(Equal("is a folder, not a file"))
		Expect(p.Hint).To(ContainSubstring("Docker"))
	})

	It("does not keep the environment from being checked", func() {
		_, err := config.Load(config.Options{Path: "/none", Environ: []string{"SHUTDOWN_PORT=x"}, Open: files(nil)})
		Expect(err).To(MatchError(And(ContainSubstring("/none"), ContainSubstring("SHUTDOWN_PORT"))))
	})
})
