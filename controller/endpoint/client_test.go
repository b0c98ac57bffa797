package endpoint_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/endpoint"
)

// named answers as the instance of that container.
func named(container string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ContainerHeader, container)
		answering(w, r)
	})
}

var _ = Describe("An answer", func() {
	var s Socket
	BeforeEach(func() { s = Socket{Path: filepath.Join(GinkgoT().TempDir(), "h.sock")} })

	do := func() (string, error) {
		body, err := Client{Socket: s}.Do(context.Background(), "GET", "/status")
		if err != nil {
			return "", err
		}
		defer func() { _ = body.Close() }()
		text, err := io.ReadAll(body)
		return string(text), err
	}

	It("is read as far as is reasonable", func() {
		serve(open(s.Path), Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		})})
		text, err := do()
		Expect(err).NotTo(HaveOccurred())
		Expect(text).To(HaveLen(AnswerAtMost))
	})

	It("is an error without orders for the terminal if it is not 200", func() {
		serve(open(s.Path), Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "\x1b]0;owned\a"+strings.Repeat("x", 1<<20), http.StatusTeapot)
		})})
		_, err := do()
		Expect(err.Error()).To(HavePrefix(`\x1b]0;owned\ax`))
		Expect(len(err.Error())).To(BeNumerically("<", 5000))
	})

	It("comes though its connection had to give way to others", func() {
		turns := 0
		serve(open(s.Path), Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if turns++; turns < 5 {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, "ok\n")
		})})
		Expect(do()).To(Equal("ok\n"))
	})
})

var _ = Describe("A text from elsewhere", func() {
	DescribeTable("gives no orders to a terminal", func(text, want string) {
		Expect(Printable(text)).To(Equal(want))
	},
		Entry("letters", "Grüße, 世界 😀 – ✓", "Grüße, 世界 😀 – ✓"),
		Entry("none", "", ""),
		Entry("an escape sequence", "a\x1b[2Jb", `a\x1b[2Jb`),
		Entry("the same in one character", "\u009b2J", `\u009b2J`),
		Entry("the same in one byte", "\x9b2J", `\x9b2J`),
		Entry("a line break", "a\nb\tc\r", `a\nb\tc\r`),
		Entry("another direction", "a\u202eb", `a\u202eb`),
		Entry("the replacement character", "\ufffd", "\ufffd"),
		Entry("delete", "\x7f", `\x7f`),
	)

	It("stays the same JSON", func() {
		text := "{\n  \"a\": \"x\u009b\u202e\x7fÄ😀\U000e0001\"\r\n}"
		clean := string(PrintableJSON([]byte(text)))
		for _, r := range clean {
			Expect(r == '\n' || Printable(string(r)) == string(r)).To(BeTrue(), "%q", clean)
		}
		var before, after any
		Expect(json.Unmarshal([]byte(text), &before)).To(Succeed())
		Expect(json.Unmarshal([]byte(clean), &after)).To(Succeed())
		Expect(after).To(Equal(before))
	})

	It("is found wherever it is", func() {
		type inner struct{ Text string }
		text := "\x1b"
		all := struct {
			Kind    inner
			Pointer *string
			Nothing *inner
			List    []inner
			hidden  string
		}{inner{"\x1b"}, &text, nil, []inner{{"\x1b"}}, "\x1b"}
		MakePrintable(&all)
		Expect(all.Kind.Text).To(Equal(`\x1b`))
		Expect(*all.Pointer).To(Equal(`\x1b`))
		Expect(all.List[0].Text).To(Equal(`\x1b`))
		Expect(all.hidden).To(Equal("\x1b"))
	})
})
