package live

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// source are the files of this package that are no tests.
func source() []*ast.File {
	GinkgoHelper()
	entries, err := os.ReadDir(".")
	Expect(err).NotTo(HaveOccurred())
	var files []*ast.File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
			Expect(err).NotTo(HaveOccurred())
			files = append(files, file)
		}
	}
	return files
}

// names are the constants of type name.
func names() (idents, values []string) {
	for _, file := range source() {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if t, ok := spec.Type.(*ast.Ident); ok && t.Name == "name" {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				Expect(err).NotTo(HaveOccurred())
				idents, values = append(idents, spec.Names[0].Name), append(values, value)
			}
			return true
		})
	}
	return idents, values
}

var _ = Describe("The names of the checks", func() {
	It("are those of the table in README.md, in that order", func() {
		text, err := os.ReadFile("../README.md")
		Expect(err).NotTo(HaveOccurred())
		_, section, ok := strings.Cut(string(text), "\n## On the device\n")
		Expect(ok).To(BeTrue())
		section, _, _ = strings.Cut(section, "\n## ")
		var rows []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z]+)` \\|").FindAllStringSubmatch(section, -1) {
			rows = append(rows, row[1])
		}
		_, values := names()
		Expect(rows).To(Equal(values))
	})

	It("are all used, and each call fills all places of its text", func() {
		idents, _ := names()
		used := map[string]bool{}
		for _, file := range source() {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				for _, a := range call.Args {
					if id, ok := a.(*ast.Ident); ok {
						used[id.Name] = true
					}
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"ok", "note", "warn", "fail", "add"}, method.Sel.Name) {
					return true
				}
				at := 1 // of the text
				if method.Sel.Name == "add" {
					at = 2
				}
				if literal, ok := call.Args[min(at, len(call.Args)-1)].(*ast.BasicLit); ok {
					text, err := strconv.Unquote(literal.Value)
					Expect(err).NotTo(HaveOccurred())
					Expect(len(call.Args)-at-1).To(Equal(strings.Count(text, "%s")), text)
					Expect(strings.Count(text, "%")).To(Equal(strings.Count(text, "%s")), text)
				}
				return true
			})
		}
		for _, id := range idents {
			Expect(used).To(HaveKey(id))
		}
	})

	It("are lower case and belong to a group", func() {
		_, values := names()
		for _, v := range values {
			Expect(v).To(MatchRegexp(`^(config|identity|process|network|folder|supervisor|marker|grace|status)\.[a-z]+$`))
		}
	})
})

var _ = Describe("A text", func() {
	DescribeTable("is filled from left to right, and arguments are left as they are",
		func(want, format string, args ...string) { Expect(fill(format, args)).To(Equal(want)) },
		Entry(nil, "as it is", "as it is"),
		Entry(nil, "a 100 % of b", "%s % of %s", "a 100", "b"),
		Entry(nil, "%s and x", "%s and %s", "%s", "x"),
	)
})

var _ = Describe("A healthy device", func() {
	It("has nothing worse than a note, and the groups come in order", func() {
		r := healthy().judge()
		for _, f := range r {
			Expect(f.Level).To(BeNumerically("<", check.Warning), "%+v", f)
		}
		var groups []string
		for _, f := range r {
			group, _, _ := strings.Cut(f.Check, ".")
			if len(groups) == 0 || groups[len(groups)-1] != group {
				groups = append(groups, group)
			}
		}
		Expect(groups).To(Equal([]string{"config", "identity", "process", "network", "folder", "supervisor", "marker", "grace", "status"}))
	})

	It("that answers nothing in time has findings all the same", func() {
		l := loaded("BALENA_APP_ID=1", "BALENA_SERVICE_NAME=main", "BALENA_SUPERVISOR_ADDRESS=http://127.0.0.1:1")
		f := &facts{
			cfg: &l.Config, loaded: l, identity: &identity{late: true}, instance: &instance{late: true}, network: &network{late: true},
			folder: &folder{late: true}, supervisor: &answers{late: true}, marker: &marker{late: true}, status: &addresses{late: true},
		}
		r := f.judge()
		for _, about := range []name{identityRecord, processInstance, networkMulticast, folderAccess, supervisorReach, markerFolder, statusSocket} {
			expectOne(r, about, check.Warning, "did not answer in time")
		}
	})
})
