package docs_test

import (
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Each rule finds its fault: what is broken here on purpose is found out, and
// what is right beside it is not.
var _ = Describe("The rules", func() {
	fenced := func(language, text string) []block {
		return parsePage("page.md", "```"+language+"\n"+text+"\n```\n").blocks
	}

	DescribeTable("let pass what is right, and find what is not",
		func(language, right, wrong, fault string) {
			if program := interpreters[language]; program != "" {
				if _, err := exec.LookPath(program); err != nil {
					Skip(program + " is not installed")
				}
			}
			blocks := fenced(language, right)
			Expect(blocks).To(HaveLen(1))
			Expect(checkBlock(blocks[0])).To(BeEmpty())
			blocks = fenced(language, wrong)
			Expect(blocks).To(HaveLen(1))
			Expect(checkBlock(blocks[0])).To(ContainElement(And(HavePrefix("page.md:2: "), ContainSubstring(fault))))
		},
		Entry("Go that is nowhere", "go", "root.SetIn(s.in)\nroot.SetOut(s.out)", "root.SetIn(s.in)\nroot.SetOut(s.err)", "word for word"),
		Entry("Go of an API that is none", "go",
			"package x\n\nimport \"github.com/handover-controller/handover/peer\"\n\nvar _ = peer.NewInstanceID()",
			"package x\n\nimport \"github.com/handover-controller/handover/peer\"\n\nvar _ = peer.NewInstance()", "undefined: peer.NewInstance"),
		Entry("Go that vet does not like", "go",
			"package x\n\nimport \"fmt\"\n\nfunc f() { fmt.Printf(\"%d\", 1) }", "package x\n\nimport \"fmt\"\n\nfunc f() { fmt.Printf(\"%d\", \"1\") }", "wrong type"),
		Entry("a key that is none", "yaml", "policy:\n  settle: 2s", "policy:\n  setle: 2s", "is not a known key"),
		Entry("a value without a unit", "yaml", "policy:\n  settle: 2s", "policy:\n  settle: 2", "has no unit"),
		Entry("two kinds of readiness", "yaml", "readiness:\n  tcp: 127.0.0.1:80", "readiness:\n  tcp: 127.0.0.1:80\n  notify: true", "readiness"),
		Entry("values that do not go together", "yaml", "policy:\n  drain_delay: 1s", "policy:\n  drain_delay: 9s", "stop_grace_period"),
		Entry("YAML that is none", "yaml", "policy: {settle: 2s}", "policy: {settle: 2s", "is not YAML"),
		Entry("settings that no key begins", "yaml", "log: {level: info}", "logs: {level: info}", "is not a known key"),
		Entry("a field that compose does not know", "yaml", "services: {main: {image: a}}", "services: {main: {imagine: a}}", "compose-go"),
		Entry("a variable in a compose file", "yaml",
			"services:\n  main:\n    image: a\n    labels: {io.balena.update.strategy: hand-over}\n    environment: {HANDOVER_POLICY_SETTLE: 1s}",
			"services:\n  main:\n    image: a\n    labels: {io.balena.update.strategy: hand-over}\n    environment: {HANDOVER_POLICY_SETLE: 1s}", "is no variable of handover"),
		Entry("another grace period", "yaml",
			"services:\n  main:\n    image: a\n    labels: {io.balena.update.strategy: hand-over}",
			"services:\n  main:\n    image: a\n    stop_grace_period: 1m\n    labels: {io.balena.update.strategy: hand-over}", "stop_grace_period is 1m0s"),
		Entry("published ports", "yaml",
			"services:\n  main:\n    image: a\n    labels: {io.balena.update.strategy: hand-over}",
			"services:\n  main:\n    image: a\n    ports: [\"80:80\"]\n    labels: {io.balena.update.strategy: hand-over}", "publish"),
		Entry("an instruction that is none", "Dockerfile", "EXPOSE 80", "EXPOSES 80", "BuildKit"),
		Entry("an entry point for a shell", "Dockerfile",
			`ENTRYPOINT ["/usr/bin/handover", "run", "--"]`, `ENTRYPOINT /usr/bin/handover run --`, "for a shell"),
		Entry("an entry point without dashes", "Dockerfile",
			`ENTRYPOINT ["/usr/bin/handover", "run", "--"]`, `ENTRYPOINT ["/usr/bin/handover", "run"]`, "without --"),
		Entry("a check of another command", "Dockerfile",
			`HEALTHCHECK CMD ["/usr/bin/handover", "probe"]`, `HEALTHCHECK CMD ["/usr/bin/handover", "prove"]`, `unknown command`),
		Entry("JSON", "json", `{"a": 1}`, `{"a": 1`, "is not JSON"),
		Entry("quotes that do not end", "sh", "handover version", "handover 'version", "sh does not parse"),
		Entry("a command without a rule", "sh", "handover version", "systemctl stop x", "no rule for command systemctl"),
		Entry("a command that is none", "sh", "handover config", "handover configure", "unknown command"),
		Entry("a flag that is none", "sh", "handover status --json", "handover status --jason", "no flag --jason"),
		Entry("a run that fails", "sh", "handover config --config handover.yaml", "handover config --config handovers.yaml", "handovers.yaml"),
		Entry("a completion for no shell", "sh", "handover completion bash", "handover completion bush", "handover completion bush"),
		Entry("run without dashes", "sh", "handover run -- node server.js", "handover run node server.js", "without --"),
		Entry("a flag of the demo", "sh", "go run ./cmd/handover demo --list", "go run ./cmd/handover demo --lists", "no flag --lists"),
		Entry("a package that is none", "sh", "go test ./peer", "go test ./pear", "no package ./pear"),
		Entry("packages that are none", "sh", "go test ./peer/...", "go test ./pear/...", "no package ./pear/..."),
		Entry("a benchmark that is none", "sh", "go test -run '^$' -bench Flood ./peer", "go test -run '^$' -bench Flut ./peer", "no such function"),
		Entry("one of two benchmarks", "sh", "go test -bench 'Flood|Decide' ./peer ./controller/decide", "go test -bench 'Flood|Decode2' ./peer", "no such function"),
		Entry("a fuzz target that is none", "sh", "go test -fuzz FuzzDecode ./peer", "go test -fuzz FuzzCode ./peer", "no such function"),
		Entry("a test that is none", "sh", "go test -run TestPeer ./peer", "go test -run TestPear ./peer", "no such function"),
		Entry("a flag of go test", "sh", "go test -count=1 ./peer", "go test -cuont=1 ./peer", "no rule for flag -cuont"),
		Entry("a variable that nothing reads", "sh",
			"EXPLORE=1 go test ./ginkgo-suites/explorer", "EXPLOR=1 go test ./ginkgo-suites/explorer", "nothing reads the variable EXPLOR"),
		Entry("a focus on nothing", "sh",
			"go test ./ginkgo-suites/interop -ginkgo.focus 'On a real network'", "go test ./ginkgo-suites/interop -ginkgo.focus 'On an unreal network'", "no such text"),
		Entry("a flag of another program", "sh",
			"go run ./ginkgo-suites/soak --handovers 2", "go run ./ginkgo-suites/soak --hangovers 2", "no flag --hangovers"),
		Entry("a package that is no program", "sh", "go run ./ginkgo-suites/soak", "go run ./peer", "is no program"),
		Entry("the second command of a line", "sh", "handover version && handover config", "handover version && handover conf", "unknown command"),
		Entry("what is run in a container", "sh", "docker exec c handover status", "docker exec c handover state", "unknown command"),
		Entry("a flag behind the end of a line", "sh", "handover status \\\n  --json", "handover status \\\n  --jason", "no flag --jason"),
		Entry("JavaScript", "js", "let a = 1", "let a = ", "node does not parse"),
		Entry("Python", "python", "a = 1", "a = ", "python3 does not parse"),
		Entry("a message that nothing logs", "text log", `msg="told to stop" reason=Told`, `msg="told to go" reason=Told`, "nothing logs msg"),
		Entry("a reason that is none", "text log", `msg="told to stop" reason=Told`, `msg="told to stop" reason=Tolled`, "nothing logs reason"),
	)

	It("find a language without a rule, and text that nothing is held to", func() {
		Expect(checkBlock(fenced("ruby", "a = 1")[0])).To(ConsistOf(`page.md:2: no rule for language "ruby"`))
		Expect(checkBlock(fenced("text", "a")[0])).To(ConsistOf(ContainSubstring("nothing is held to")))
		Expect(checkBlock(fenced("", "a")[0])).To(ConsistOf(ContainSubstring("nothing is held to")))
		Expect(checkBlock(fenced("yaml", "scrape_configs: []")[0])).To(ConsistOf(ContainSubstring("no test gives to promtool")))
		Expect(checkElsewhere("key", [2]string{"config/print_test.go", "no such text"})).To(ConsistOf(ContainSubstring("is missing there")))
	})

	It("find what is no check", func() {
		page := func(text string) *page { return parsePage("cmd/handover/check/README.md", text) }
		Expect(checkNames(page("`network.mode`"))).To(BeEmpty())
		Expect(checkNames(page("`network.modes`"))).To(ContainElement(ContainSubstring("network.modes is no key")))
		Expect(checkNames(page("`wire.length`"))).To(ConsistOf(ContainSubstring("wire.length is no check")))
	})

	It("find code without a fence, and a fence without an end", func() {
		Expect(parsePage("page.md", "text\n\n    code\n").faults).To(ConsistOf(HavePrefix("page.md:3: code that is only indented")))
		Expect(parsePage("page.md", "- item\n\n    more of it\n").faults).To(BeEmpty())
		Expect(parsePage("page.md", "```sh\nls\n").faults).To(ConsistOf(HavePrefix("page.md:1: a block that does not end")))
	})

	It("see blocks in lists, with their place", func() {
		p := parsePage("page.md", "1. item\n\n   ```sh\n   ls\n     -l\n   ```\n2. item\n")
		Expect(p.blocks).To(Equal([]block{{path: "page.md", line: 4, language: "sh", text: "ls\n  -l\n"}}))
	})

	It("find links that lead nowhere", func() {
		all := pages()
		text := strings.Join([]string{
			"[a](config/README.md) [b](config/README.md#keys) [c](#a-heading) [d](controller/page/page.png) [e](https://example.com/x)",
			"[f](config/READ.md) [g](config/README.md#kees) [h](#no-heading) [i](/README.md) [j](../x)",
			"[k](http://example.com) [l](controller/page/page.png#x) ![m\nn](controller/nowhere.png) `[o](nowhere)`",
			"## A *heading*",
		}, "\n\n")
		all["README.md"] = parsePage("README.md", text)
		Expect(checkLinks(all["README.md"], all)).To(ConsistOf(
			"README.md:3: link config/READ.md: there is no config/READ.md",
			"README.md:3: link config/README.md#kees: config/README.md has no heading #kees",
			"README.md:3: link #no-heading: README.md has no heading #no-heading",
			"README.md:3: link /README.md: not relative to the page",
			"README.md:3: link ../x: leads out of the repository",
			"README.md:5: link http://example.com: neither a path nor an https address",
			"README.md:5: link controller/page/page.png#x: #x in what is no page of text",
			"README.md:5: link controller/nowhere.png: there is no controller/nowhere.png",
		))
	})

	DescribeTable("find names that are none, and let pass those that are",
		func(right, wrong, fault string) {
			Expect(checkNames(parsePage("page.md", right))).To(BeEmpty())
			Expect(checkNames(parsePage("page.md", wrong))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("a key", "see `policy.settle`", "see `policy.setle`", "policy.setle is no key"),
		Entry("a key in an expression", "`readiness.period` × 2, `2 × readiness.period`", "`2 × readiness.periods`", "readiness.periods is no key"),
		Entry("a value", "`supervisor.mode: off`", "`supervisor.mode: of`", "is not among"),
		Entry("a variable", "`HANDOVER_POLICY_SETTLE`, `HANDOVER_…`", "`HANDOVER_SETTLE`", "no variable of handover"),
		Entry("a variable in a block", "```sh\nHANDOVER_LOG_LEVEL=debug handover config\n```", "```sh\nHANDOVER_LOGLEVEL=debug handover config\n```", "no variable"),
		Entry("a metric", "`handover_phase{phase}`, `handover_stage_duration_seconds_bucket`", "`handover_phases`", "handover_phases is no metric"),
		Entry("a command", "`handover status --watch`", "`handover status --watches`", "no flag --watches"),
		Entry("a command over the end of a line", "`handover status\n--watch`", "`handover status\n--watches`", "page.md:1: handover status has no flag"),
		Entry("a benchmark", "`go test -bench Decide ./controller/decide`", "`go test -bench Decode2 ./controller`", "no such function"),
		Entry("a reason", "`YoungerNotReady`", "`YoungerNotReadies`", "neither a text nor a name"),
	)

	It("find what is quoted in the trouble-shooting and said nowhere", func() {
		page := func(code string) *page {
			return parsePage("page.md", "## Trouble-shooting\n\n| `"+code+"` | … |\n")
		}
		for _, right := range []string{"told to stop", "YoungerRunning", "policy.settle: 2s", "handover_phase", "handover status", "HANDOVER_LOG_LEVEL", "ports:"} {
			Expect(checkSymptoms(page(right))).To(BeEmpty(), right)
		}
		for _, wrong := range []string{"told to go", "YoungerRuns", "policy.setle", "handover_phases", "systemctl", "HANDOVER_LEVEL"} {
			Expect(checkSymptoms(page(wrong))).To(ConsistOf("page.md:3: a user sees nowhere: "+wrong), wrong)
		}
		Expect(checkSymptoms(parsePage("page.md", "## Else\n\n`told to go`\n"))).To(BeEmpty())
	})
})
