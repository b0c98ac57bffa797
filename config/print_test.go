package config_test

import (
	"errors"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/config"
)

var _ = Describe("Printing", func() {
	It("says every key once, with its origin", func() {
		out := printed(mustLoad("service:\n  app_id: 0123\n", "HANDOVER_STATUS_PORT=1600"))
		Expect(out).To(HavePrefix("# configuration file: handover.yaml\nservice:\n"))
		Expect(out).To(MatchRegexp(`(?m)^  app_id: "0123" +# handover.yaml:2$`))
		Expect(out).To(MatchRegexp(`(?m)^  status_port: 1600 +# HANDOVER_STATUS_PORT$`))
		Expect(out).To(MatchRegexp(`(?m)^  interval: 10s +# default$`))
		Expect(out).To(MatchRegexp(`(?m)^  expire_after: 35s +# default: 3.5 × announce.interval`))
		Expect(out).To(MatchRegexp(`(?m)^  listen: off +# default$`))

		var tree map[string]map[string]any
		Expect(yaml.Unmarshal([]byte(out), &tree)).To(Succeed())
		var keys []string
		for section, leaves := range tree {
			for leaf := range leaves {
				keys = append(keys, section+"."+leaf)
			}
		}
		Expect(keys).To(ConsistOf(config.KeyNames()))
	})

	It("says that there is no file", func() {
		loaded, err := config.Load(config.Options{Open: files(nil)})
		Expect(err).NotTo(HaveOccurred())
		Expect(printed(loaded)).To(HavePrefix("# configuration file: none\n"))
	})

	DescribeTable("writes what loads again as the same", func(content string, environ ...string) {
		first := mustLoad(content, environ...)
		second := mustLoad(printed(first))
		Expect(second.Config).To(Equal(first.Config))
		Expect(withoutComments(printed(second))).To(Equal(withoutComments(printed(first))))
	},
		Entry("nothing", ""),
		Entry("every key", strings.NewReplacer("[one, two]", "", "api_key: key", "").Replace(everyKey)),
		Entry("an explicit time to readiness", "readiness: {after: 1h0m30s}"),
		Entry("a real-time signal", "process: {stop_signal: SIGRTMAX}"),
		Entry("difficult texts", "", "HANDOVER_PROCESS_PRE_STOP= [a] # \"b\" 'c'\n\t\\x\u2028\ufeff\x7fü", "BALENA_APP_ID=null",
			"BALENA_SERVICE_NAME=- x: #"),
	)

	It("masks secrets, and does not load what it masked", func() {
		out := printed(mustLoad("announce: {secret: [hunter2, hunter2]}", "BALENA_SUPERVISOR_API_KEY=hunter2"))
		Expect(out).To(MatchRegexp(`secret: \["\[redacted\]", "\[redacted\]"\] +# handover.yaml:1`))
		Expect(out).To(MatchRegexp(`api_key: "\[redacted\]" +# BALENA_SUPERVISOR_API_KEY`))
		Expect(out).NotTo(ContainSubstring(hidden))
		found := problemsOf(out)
		Expect(found).To(HaveLen(2))
		for _, p := range found {
			Expect(p.Message).To(ContainSubstring("stands in the place of a secret"))
		}
	})

	It("says when it cannot write", func() {
		Expect(mustLoad("").Print(failingWriter{})).To(MatchError(errWrite))
	})
})

// withoutComments leaves the values, which must not depend on origins.
func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		value, _, _ := strings.Cut(line, "  # ")
		b.WriteString(strings.TrimRight(value, " \n") + "\n")
	}
	_, rest, _ := strings.Cut(b.String(), "\n")
	return rest
}

var errWrite = errors.New("no space")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWrite }

var _ = Describe("README.md", func() {
	It("has the table of keys", func() {
		readme, err := os.ReadFile("README.md")
		Expect(err).NotTo(HaveOccurred())
		_, rest, found := strings.Cut(string(readme), "<!-- keys -->\n")
		Expect(found).To(BeTrue())
		table, _, found := strings.Cut(rest, "<!-- end of keys -->")
		Expect(found).To(BeTrue())
		Expect(table).To(Equal(config.KeyTable()), "the table must be:\n%s", config.KeyTable())
	})

	It("shows errors and values as they are", func() {
		readme, err := os.ReadFile("README.md")
		Expect(err).NotTo(HaveOccurred())
		blocks := map[string]string{}
		for _, b := range strings.Split(string(readme), "\n```")[1:] {
			name, text, _ := strings.Cut(b+"\n", "\n")
			blocks[name] = strings.TrimSuffix(text, "\n")
		}
		_, err = load(blocks["yaml bad"], "SHUTDOWN_PORT=15360000", "HANDOVER_POLICY_SETLE=1s")
		Expect(err).To(HaveOccurred())
		Expect(blocks["text errors"]).To(Equal(err.Error()))

		out := printed(mustLoad(blocks["yaml good"], "BALENA_APP_ID=1234567", "HANDOVER_ANNOUNCE_INTERVAL=5s"))
		for line := range strings.Lines(blocks["text printed"]) {
			if strings.TrimSpace(line) != "…" {
				Expect(out).To(ContainSubstring(strings.TrimSuffix(line, "\n")))
			}
		}
	})
})
