package compose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

// dockerfiles are those in testdata, and the manifests' template.
func dockerfiles() []string {
	GinkgoHelper()
	all := []string{"../../../../manifests/Dockerfile.template"}
	Expect(filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "Dockerfile") && d.Type().IsRegular() &&
			!strings.HasSuffix(path, "dockerignore") && !strings.Contains(path, "broken") {
			all = append(all, path)
		}
		return err
	})).To(Succeed())
	return all
}

var _ = Describe("The Dockerfile's reader, beside BuildKit's", func() {
	It("takes the same out of every Dockerfile", func() {
		all := dockerfiles()
		Expect(len(all)).To(BeNumerically(">", 30))
		for _, file := range all {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			difference, ok := compareDockerfile(string(text))
			Expect(ok).To(BeTrue(), file)
			Expect(difference).To(BeEmpty(), file)
		}
	})

	DescribeTable("takes the same out of less common forms", func(text string) {
		difference, ok := compareDockerfile("FROM a\n" + text)
		Expect(ok).To(BeTrue())
		Expect(difference).To(BeEmpty())
	},
		Entry(nil, "CMD a \\\n  b \\\n\n  # comment\n  c\nUSER d"),
		Entry(nil, "CMD a \\ \t\n  b"),
		Entry(nil, "CMD a \\\\\nUSER b"),
		Entry(nil, "CMD [ \"a\" , \"b\\\"c\" ]"),
		Entry(nil, "CMD [\"a\", \\\n  \"b\"]"),
		Entry(nil, "CMD ['a']"),
		Entry(nil, "CMD []"),
		Entry(nil, "CMD [\"a\"] && b"),
		Entry(nil, "  cmd\ta"),
		Entry(nil, "ENTRYPOINT\t[\"a\"]\r\nUSER b\r\n"),
		Entry(nil, "HEALTHCHECK --interval=5s --timeout=\"3s\"   CMD   [\"a\",\"b\"]"),
		Entry(nil, "HEALTHCHECK --interval=5s \\\n  CMD a || exit 1"),
		Entry(nil, "HEALTHCHECK NONE"),
		Entry(nil, "RUN <<EOF\nCMD no\nEOF\nUSER b"),
		Entry(nil, "RUN <<-'EOF' cat\n\tCMD no\n\tEOF\nUSER b"),
		Entry(nil, "RUN <<A cat && <<\"B\" cat\nCMD 1\nA\nCMD 2\nB\nUSER b"),
		Entry(nil, "COPY <<EOF <<F /x/\n1\nEOF\n2\nF\nUSER b"),
		Entry(nil, "RUN cat 3<<EOF\nEOF\nUSER b"),
		Entry(nil, "RUN cat <<< a\nUSER b"),
		Entry(nil, "RUN echo '<<EOF'\nUSER b"),
		Entry(nil, "RUN [\"a\", \"<<EOF\"]\nUSER b"),
		Entry(nil, "RUN --mount=type=cache,target=/a --network=none make\nCOPY --from=x --chown=a:b c d"),
		Entry(nil, "ENV A=b C=\"d e\" F=g\\ h I='j \"k\"'"),
		Entry(nil, "ENV A b c  d"),
		Entry(nil, "ONBUILD CMD a\nLABEL a=b\nARG A=b\nEXPOSE 80\nVOLUME [\"/a\"]\nSHELL [\"/bin/bash\", \"-c\"]\nWORKDIR /a b"),
		Entry(nil, "STOPSIGNAL SIGINT\nUSER a:b\nSTOPSIGNAL ${S}"),
		Entry(nil, "# escape=`\nCMD a \\\nUSER b"),
	)

	DescribeTable("knows the directive for another escape character", func(text string) {
		difference, ok := compareDockerfile(text)
		Expect(ok).To(BeTrue())
		Expect(difference).To(BeEmpty())
	},
		Entry(nil, "# escape=`\nFROM a\nCMD a `\n  b c:\\\nUSER d"),
		Entry(nil, "\ufeff# syntax = docker/dockerfile:1\n#ESCAPE = `\nFROM a\nCMD a `\n  b"),
		Entry(nil, "# a comment first\n# escape=`\nFROM a\nCMD a `\nUSER b"),
		Entry(nil, "\n# escape=`\nFROM a\nCMD a `\nUSER b"),
		Entry(nil, "# check=skip=all\n# escape=\\\nFROM a\nCMD a \\\n b"),
	)

	It("says that a document does not end", func() {
		_, err := compose.ReadDockerfile("FROM a\nRUN <<EOF\nb")
		Expect(err).To(MatchError(ContainSubstring("line 2")))
	})
})

// compareDockerfile reads a Dockerfile both ways, and returns the first
// difference in what matters here. ok is false if BuildKit refuses it.
func compareDockerfile(text string) (difference string, ok bool) {
	want, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return "", false
	}
	got, err := compose.ReadDockerfile(text)
	if err != nil {
		return err.Error(), true
	}
	children := slices.DeleteFunc(want.AST.Children, func(n *parser.Node) bool { return n.Value == "" }) // a lone backslash
	if len(got) != len(children) {
		return "not as many instructions", true
	}
	for i, w := range children {
		g := got[i]
		if g.Name != strings.ToUpper(w.Value) || g.Line != w.StartLine {
			return "name or line: " + w.Original, true
		}
		if strings.Join(g.Flags, "\n") != strings.Join(w.Flags, "\n") {
			return "flags: " + w.Original, true
		}
		if d := compareArguments(g, w); d != "" {
			return d + ": " + w.Original, true
		}
	}
	return "", true
}

func compareArguments(g compose.Instruction, w *parser.Node) string {
	var values []string
	for n := w.Next; n != nil; n = n.Next {
		values = append(values, n.Value)
	}
	all := strings.Join(values, "\n")
	switch g.Name {
	case "CMD", "ENTRYPOINT", "RUN", "SHELL":
		if g.JSON != w.Attributes["json"] {
			return "a list or not"
		}
		if g.JSON && strings.Join(g.List, "\n") != all || !g.JSON && g.Args != all {
			return "arguments"
		}
	case "USER", "STOPSIGNAL", "WORKDIR":
		if g.Args != all {
			return "arguments"
		}
	case "FROM":
		if strings.Join(strings.Fields(g.Args), "\n") != all {
			return "arguments"
		}
	case "HEALTHCHECK":
		if len(values) < 2 || strings.EqualFold(values[0], "NONE") { // of the first kind, the builder refuses all but NONE
			return ""
		}
		kind := "CMD-SHELL"
		if w.Attributes["json"] {
			kind = "CMD"
		}
		if strings.Join(g.Test, "\n") != strings.Join(append([]string{kind}, values[1:]...), "\n") {
			return "arguments"
		}
	case "ENV":
		if len(g.Env)*3 != len(values) {
			return "variables"
		}
		for i, v := range g.Env {
			name, _, _ := strings.Cut(v, "=")
			if name != values[3*i] {
				return "variables"
			}
		}
	}
	return ""
}

// FuzzDockerfile holds that the reader never panics, and takes the same out of
// a Dockerfile as BuildKit does.
func FuzzDockerfile(f *testing.F) {
	for _, seed := range []string{
		"FROM a AS b\nRUN <<EOF\nx\nEOF\nENTRYPOINT [\"a\"]\nCMD b", "# escape=`\nFROM a\nENV a=b c=\"d\" `\n e=f\nHEALTHCHECK CMD a",
		"FROM a\nUSER b\nSTOPSIGNAL 9\nFROM 0\nCMD ['x']",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = compose.ReadImage(text, "b")
		for i := range len(text) {
			// What is no plain text, and documents within, BuildKit takes apart by
			// rules of its own.
			if text[i] >= 0x7f || text[i] < ' ' && text[i] != '\n' && text[i] != '\t' || text[i] == '<' {
				return
			}
		}
		if difference, ok := compareDockerfile(text); ok && difference != "" {
			t.Fatalf("%s\n%q", difference, text)
		}
	})
}

var _ = Describe("The image", func() {
	DescribeTable("is that of the last stage, or of the target, with what the stages before bring in",
		func(text, target string, want compose.Image) {
			got, err := compose.ReadImage(text, target)
			Expect(err).NotTo(HaveOccurred())
			Expect(got).To(Equal(want))
		},
		Entry("one stage", "FROM --platform=x node:22@sha256:0\nCMD [\"a\"]", "", compose.Image{Base: "node", Command: "a"}),
		Entry("another stage does not count", "FROM a\nUSER b\nFROM c", "", compose.Image{Base: "c"}),
		Entry("a stage as base", "FROM a AS b\nUSER c\nCMD d\nFROM B", "", compose.Image{Base: "a", User: "c", Command: "/bin/sh -c d"}),
		Entry("a stage's number as base", "FROM a\nUSER c\nFROM 0", "", compose.Image{Base: "a", User: "c"}),
		Entry("the target", "FROM a AS b\nUSER c\nFROM d", "b", compose.Image{Base: "a", User: "c"}),
		Entry("no such target", "FROM a", "b", compose.Image{}),
		Entry("a stage of the base's name", "FROM node AS node\nFROM node", "", compose.Image{Base: "node"}),
		Entry("ENTRYPOINT resets the base's CMD", "FROM a AS b\nCMD c\nFROM b\nENTRYPOINT [\"d\"]", "", compose.Image{Base: "a", Entrypoint: "d"}),
		Entry("but not the stage's own", "FROM a\nCMD [\"c\"]\nENTRYPOINT [\"d\"]", "", compose.Image{Base: "a", Entrypoint: "d", Command: "c"}),
		Entry("the last of each counts", "FROM a\nSTOPSIGNAL 1\nENV A=1\nSTOPSIGNAL 2\nENV A=\"2 3\" B=4", "",
			compose.Image{Base: "a", StopSignal: "2", Environment: []string{"A=2 3", "B=4"}}),
		Entry("nothing", "", "", compose.Image{}),
		Entry("a registry", "FROM localhost:5000/a/b:c", "", compose.Image{Base: "localhost:5000/a/b"}),
	)
})
