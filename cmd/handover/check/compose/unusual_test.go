package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

var _ = Describe("Unusual input", func() {
	DescribeTable("is an error with its line", func(text string, line int, found string) {
		report := lintText(text)
		Expect(report.Worst()).To(Equal(check.Error))
		Expect(report[0].Check).To(Equal("compose.file"))
		Expect(report[0].Line).To(Equal(line))
		Expect(report[0].Found).To(ContainSubstring(found))
	},
		Entry("an empty file", "", 0, "empty"),
		Entry("only comments", "# nothing\n\n", 0, "empty"),
		Entry("null", "~\n", 0, "empty"),
		Entry("a text", "hello\n", 1, "no mapping at the top"),
		Entry("a list at the top", "- a\n- b\n", 1, "no mapping at the top"),
		Entry("no YAML", "services:\n  a: [\n", 2, "is not YAML"),
		Entry("tabs", "services:\n\ta:\n\t\tbuild: .\n", 2, "is not YAML"),
		Entry("an alias without anchor", "services: *none\n", 1, "unknown anchor"),
		Entry("binary", "\x00\x01\x02\xff\xfe", 1, "is not YAML"),
		Entry("no services", "version: '2.1'\nfoo: bar\n", 1, "no services"),
		Entry("services without any", "version: '2.1'\nservices:\n", 2, "no services"),
		Entry("services that are none", "version: '2.1'\nservices: {}\n", 2, "no services"),
		Entry("services as a list", "version: '2.1'\nservices:\n  - a\n", 2, "no services"),
		Entry("services of version 1", "version: '2.1'\nweb:\n  build: .\n", 1, "no services"),
		Entry("a service that is a list", "version: '2.1'\nservices:\n  a: [b]\n", 3, "no mapping"),
		Entry("a key that stands twice", "version: '2.1'\nservices:\n  a: {image: b}\n  a: {image: c}\n", 4, "twice, first on line 3"),
		Entry("a key that stands twice, deep down", "version: '2.1'\nx-a: [{b: 1,\n  b: 2}]\nservices: {a: {image: b}}\n", 3, "twice"),
		Entry("a second document", "version: '2.1'\nservices: {a: {image: b}}\n---\nservices: {}\n", 4, "second document"),
		Entry("what is no YAML after the first document", "version: '2.1'\nservices: {a: {image: b}}\n---\n]\n", 4, "is not YAML"),
	)

	It("says of tabs what to do", func() {
		Expect(lintText("services:\n\ta: {}\n")[0].Do).To(ContainSubstring("spaces"))
	})

	It("ends where a separator is the last line", func() {
		Expect(lintText("version: '2.1'\nservices: {a: {image: b}}\n---\n").Worst()).To(Equal(check.Note))
	})

	DescribeTable("is survived, in no time", func(text string) {
		begun := time.Now()
		lintText(text)
		Expect(time.Since(begun)).To(BeNumerically("<", 5*time.Second))
	},
		Entry("a bomb of aliases", bomb("[*%s, *%s]")),
		Entry("a bomb of merges", bomb("{<<: [*%s, *%s]}")),
		Entry("many services that are one", func() string {
			var b strings.Builder
			b.WriteString("x: &x\n  environment: &e\n")
			for i := range 10_000 {
				fmt.Fprintf(&b, "    A%d: b\n", i)
			}
			b.WriteString("services:\n")
			for i := range 10_000 {
				fmt.Fprintf(&b, "  s%d: {image: a, environment: *e}\n", i)
			}
			return b.String()
		}()),
		Entry("an anchor within itself", "services: &a\n  a: *a\n"),
		Entry("a mapping that merges itself", "services:\n  a: &a\n    <<: *a\n    image: b\n    labels: &l {<<: *l, a: b}\n"),
		Entry("deep nesting", "services: "+strings.Repeat("[", 20_000)),
		Entry("deep nesting that ends", "services: {a: {labels: "+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+"}}"),
		Entry("every field of another kind", everyField("[1, {a: b}, [c], ~]")),
		Entry("every field a mapping", everyField("{a: {b: c}, test: {d: e}, context: [f]}")),
		Entry("every field null", everyField("~")),
		Entry("every field a text", everyField("a")),
		Entry("every field a number", everyField("1e400")),
		Entry("keys that are no text", "services:\n  ? [a]\n  : b\n  1: {image: a, ? {b: c} : d}\n"),
		Entry("odd tags", "services:\n  a: !!binary aGVsbG8=\n  b: !x {image: !!set {a}, labels: !!omap [a: b]}\n"),
	)

	It("says that aliases made too much of it", func() {
		var b strings.Builder
		b.WriteString("version: '2.1'\nx: &x\n")
		for i := range 1000 {
			fmt.Fprintf(&b, "  A%d: b\n", i)
		}
		b.WriteString("services:\n")
		for i := range 1000 {
			fmt.Fprintf(&b, "  s%d: {image: a, environment: *x}\n", i)
		}
		report := lintText(b.String())
		Expect(report[0].Found).To(ContainSubstring("too many entries"))
		Expect(report[0].Level).To(Equal(check.Error))
	})

	It("is no file that is larger than 1 MiB", func() {
		report := lintText(strings.Repeat("#", 2<<20))
		Expect(report).To(HaveLen(1))
		Expect(report[0].Level).To(Equal(check.Error))
		Expect(report[0].Found).To(ContainSubstring("1 MiB"))
	})

	It("is no file that cannot be read", func() {
		for path, reason := range map[string]string{
			filepath.Join(GinkgoT().TempDir(), "none.yml"): "no such file",
			GinkgoT().TempDir():                            "is a directory",
		} {
			Expect(lint(path)).To(HaveExactElements(And(
				HaveField("Level", check.Error), HaveField("Found", ContainSubstring(reason)), HaveField("File", path))))
		}
	})
})

// bomb is a file in which each line is the one before twice.
func bomb(form string) string {
	var b strings.Builder
	b.WriteString("x-a0: &a0 {a: b}\n")
	for i := range 30 {
		last := fmt.Sprintf("a%d", i)
		fmt.Fprintf(&b, "x-a%d: &a%d "+form+"\n", i+1, i+1, last, last)
	}
	b.WriteString("services: {a: *a30, b: {image: c, labels: *a30, environment: *a30, ports: *a30}}\n")
	return b.String()
}

// everyField is a service in which every field that is read has this value.
func everyField(value string) string {
	var b strings.Builder
	b.WriteString("version: " + value + "\nservices:\n  a:\n")
	for _, f := range []string{
		"labels", "environment", "build", "image", "stop_grace_period", "restart", "network_mode", "networks", "mac_address",
		"container_name", "ports", "devices", "volumes", "tmpfs", "privileged", "read_only", "init", "tty", "stdin_open", "pid", "user",
		"stop_signal", "entrypoint", "command", "healthcheck", "depends_on", "extends", "env_file", "label_file",
	} {
		b.WriteString("    " + f + ": " + value + "\n")
	}
	return b.String()
}

var _ = Describe("What lies beside the compose file", func() {
	const handOver = `version: "2.1"
services:
  main:
    build: .
    stop_grace_period: 60s
    labels: {io.balena.update.strategy: hand-over, io.balena.update.handover-timeout: 60000, io.balena.features.supervisor-api: 1}
    environment: {HANDOVER_LOG_LEVEL: info}
`
	read := func(report check.Report) []string {
		var found []string
		for _, f := range report {
			if f.Check == "compose.unread" {
				found = append(found, f.Found)
			}
		}
		return found
	}

	It("is not read if it is a pipe", func() {
		file := project(map[string]string{fileName: handOver})
		Expect(syscall.Mkfifo(filepath.Join(filepath.Dir(file), "Dockerfile"), 0o600)).To(Succeed())
		Expect(syscall.Mkfifo(filepath.Join(filepath.Dir(file), "handover.yaml"), 0o600)).To(Succeed())
		Expect(syscall.Mkfifo(filepath.Join(filepath.Dir(file), "package.json"), 0o600)).To(Succeed())
		Expect(read(lint(file))).To(ConsistOf(ContainSubstring("no regular file")))
	})

	It("is not read if it is a folder, or too large", func() {
		file := project(map[string]string{fileName: handOver, "Dockerfile": strings.Repeat("#", 1<<20+1), "handover.yaml/x": ""})
		Expect(read(lint(file))).To(ConsistOf(ContainSubstring("larger than 1 MiB")))
	})

	It("is not read if a link leads out of the folder, and is if it does not", func() {
		secret := filepath.Join(GinkgoT().TempDir(), "Dockerfile")
		Expect(os.WriteFile(secret, []byte("FROM a\nENTRYPOINT handover run -- b\n"), 0o600)).To(Succeed())
		file := project(map[string]string{fileName: handOver, "docker/D": "FROM a\nENTRYPOINT handover run -- b\n"})
		link := filepath.Join(filepath.Dir(file), "Dockerfile")
		Expect(os.Symlink(secret, link)).To(Succeed())
		report := lint(file)
		Expect(read(report)).To(HaveLen(1))
		Expect(report.Count(check.Error)).To(BeZero())

		Expect(os.Remove(link)).To(Succeed())
		Expect(os.Symlink("docker/D", link)).To(Succeed())
		report = lint(file)
		Expect(read(report)).To(BeEmpty())
		Expect(report.Count(check.Error)).To(Equal(1))
	})

	It("is not read through a link of the context, nor through ..", func() {
		file := project(map[string]string{
			"Dockerfile":                "FROM a\nENTRYPOINT handover run -- b\n",
			"project/" + fileName:       strings.Replace(handOver, "build: .", "build: {context: ., dockerfile: ../Dockerfile}", 1),
			"project/again/" + fileName: strings.Replace(handOver, "build: .", "build: ./out", 1),
		})
		dir := filepath.Dir(file)
		Expect(os.Symlink("../..", filepath.Join(dir, "project/again/out"))).To(Succeed())
		for _, name := range []string{"project", "project/again"} {
			report := lint(filepath.Join(dir, name, fileName))
			Expect(read(report)).To(HaveLen(1))
			Expect(report.Count(check.Error)).To(BeZero())
		}
	})

	It("is the host's configuration never", func() {
		// Whether /etc/handover/handover.yaml exists here or not: only what is named counts.
		report := lint(project(map[string]string{fileName: handOver, "Dockerfile": "FROM a\nENTRYPOINT [\"handover\", \"run\", \"--\", \"b\"]\n"}))
		Expect(report.Worst()).To(Equal(check.Warning), "%+v", report)
		Expect(report.Count(check.Warning)).To(Equal(1)) // stop_grace_period
	})
})

var _ = Describe("Secrets", func() {
	It("are in no finding, wherever they stand", func() {
		const secret = "hunter2-hunter2"
		file := project(map[string]string{
			fileName: `services:
  a:
    build: .
    command: TOKEN=` + secret + ` node --token ` + secret + `
    entrypoint: ` + secret + `=x
    labels: {io.balena.update.strategy: hand-over}
    healthcheck: {test: "TOKEN=` + secret + ` curl http://u:` + secret + `@x"}
    environment:
      - HANDOVER_ANNOUNCE_SECRET=["` + secret + `"
      - HANDOVER_SUPERVISOR_API_KEY=` + secret + `
      - HANDOVER_SUPERVISOR_ADDRESS=http://u:` + secret + `@x
      - HANDOVER_READINESS_HTTP=ftp://u:` + secret + `@x?` + secret + `
      - HANDOVER_ANNOUNCE_SECRET: ` + secret + `
      - ` + secret + `
  b:
    build: .
    entrypoint: [handover, "` + secret + `"]
    labels: {io.balena.update.strategy: hand-over}
    environment: {HANDOVER_ANNOUNCE_SECRT: ` + secret + `, HANDOVER_LOG_LEVEL: debug}
`,
			"Dockerfile":    "FROM x\nENV HANDOVER_ANNOUNCE_SECRET=\"" + secret + "\nCMD " + secret + "=x y\n",
			"handover.yaml": "announce:\n  secret: [" + secret + ", {a: " + secret + "}]\nsupervisor:\n  api_key: [" + secret + "]\n  api_kye: " + secret + "\n",
		})
		report := lint(file)
		Expect(report.Count(check.Error)).To(BeNumerically(">", 3))
		for _, f := range report {
			Expect(fmt.Sprintf("%+v", f)).NotTo(ContainSubstring("hunter2"))
		}
	})
})
