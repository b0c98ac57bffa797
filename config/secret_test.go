package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

const hidden = "hunter2"

var _ = Describe("Secrets", func() {
	It("are not shown by fmt, whatever the verb", func() {
		s := config.Secret(hidden)
		c := config.Announce{Secrets: []config.Secret{s, s}}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%.3s", "%t", "%T"} {
			out := fmt.Sprintf(verb+" "+verb+" "+verb+" "+verb, s, &s, c, []config.Secret{s})
			Expect(out).NotTo(ContainSubstring("hunter"), verb)
			Expect(out).NotTo(ContainSubstring("68756e"), verb)
			Expect(out).NotTo(ContainSubstring("68756E"), verb)
		}
		Expect(fmt.Sprint(s)).To(Equal("[redacted]"))
		Expect(fmt.Sprintf("%#v", s)).To(Equal(`"[redacted]"`))
		Expect(s.Reveal()).To(Equal(hidden))
	})

	It("are not shown by slog and json", func() {
		s := config.Secret(hidden)
		c := config.Config{Supervisor: config.Supervisor{APIKey: s}, Announce: config.Announce{Secrets: []config.Secret{s}}}
		var b bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			slog.New(h).Info("x", "secret", s, "config", c, "pointer", &c, slog.Any("list", c.Announce.Secrets))
		}
		Expect(json.NewEncoder(&b).Encode(map[string]any{"s": &s, "c": c})).To(Succeed())
		Expect(b.String()).NotTo(ContainSubstring(hidden))
		Expect(b.String()).To(ContainSubstring("[redacted]"))
	})

	It("show that they are not set", func() {
		Expect(config.Secret("").String()).To(BeEmpty())
		Expect(fmt.Sprintf("%q", config.Secret(""))).To(Equal(`""`))
	})

	DescribeTable("are in no error", func(content string, environ ...string) {
		_, err := load(content, environ...)
		Expect(err).To(HaveOccurred())
		Expect(err.Error()).NotTo(ContainSubstring(hidden))
		Expect(fmt.Sprintf("%+v %#v", err, err)).NotTo(ContainSubstring(hidden))
	},
		Entry("empty among others", "announce: {secret: [hunter2, '']}"),
		Entry("mapping", "announce: {secret: {hunter2: hunter2}}"),
		Entry("list in a list", "announce: {secret: [[hunter2]]}"),
		Entry("list for one", "supervisor: {api_key: [hunter2]}"),
		Entry("several lines", "supervisor: {api_key: \"hunter2\\nx\"}"),
		Entry("a blank", "supervisor: {api_key: \"hunter2 x\"}"),
		Entry("a letter that no header can have", "supervisor: {api_key: hunter2é}"),
		Entry("tag", "supervisor: {api_key: !hunter2 x}"),
		Entry("unknown alias", "supervisor: {api_key: *hunter2}"),
		Entry("twice", "supervisor:\n  api_key: hunter2\n  api_key: hunter2\n"),
		Entry("misspelled", "supervisor: {apikey: hunter2}"),
		Entry("misspelled otherwise", "announce: {sekret: hunter2}"),
		Entry("unknown", "announce: {password: hunter2}"),
		Entry("in no section", "api_key: hunter2"),
		Entry("no space", "supervisor: {api_key:hunter2}"),
		Entry("no space, alone", "supervisor:\n  api_key:hunter2\n"),
		Entry("equals sign", "supervisor: {api_key=hunter2: x}"),
		Entry("for a section", "announce: hunter2"),
		Entry("syntax", "supervisor:\n  api_key: hunter2: x\n"),
		Entry("syntax around it", "supervisor:\n  api_key: hunter2\n - x\n"),
		Entry("password in an address", "supervisor: {address: 'http://user:hunter2@x'}"),
		Entry("password in what is no address", "", "BALENA_SUPERVISOR_ADDRESS=user:hunter2@x:48484"),
		Entry("password with a slash", "readiness: {http: 'http://user:a/hunter2@x'}"),
		Entry("key in an address", "supervisor: {address: 'http://x?apikey=hunter2'}"),
		Entry("variable", "", "HANDOVER_ANNOUNCE_SECRET=[\"hunter2\""),
		Entry("balena's variable", "", "BALENA_SUPERVISOR_API_KEY=hunter2\n"),
		Entry("unknown variable", "log: 3", "HANDOVER_ANNOUNCE_SECRETS=hunter2"),
	)
})
