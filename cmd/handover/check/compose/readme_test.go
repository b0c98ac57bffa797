package compose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tableRows are the checks of README.md, with their levels.
func tableRows() map[string][]string {
	GinkgoHelper()
	text, err := os.ReadFile("README.md")
	Expect(err).NotTo(HaveOccurred())
	_, table, _ := strings.Cut(string(text), "<!-- checks -->")
	table, _, _ = strings.Cut(table, "<!-- end of checks -->")
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		Expect(rows).NotTo(HaveKey(name))
		rows[name] = strings.Split(strings.TrimSpace(cells[2]), ", ")
	}
	return rows
}

var _ = Describe("The table of README.md", func() {
	It("has the names of the code, and no others", func() {
		file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
		Expect(err).NotTo(HaveOccurred())
		var names []string
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				name, err := strconv.Unquote(l.Value)
				Expect(err).NotTo(HaveOccurred())
				names = append(names, name)
			}
			return true
		})
		var rows []string
		for name := range tableRows() {
			rows = append(rows, name)
		}
		Expect(rows).To(ConsistOf(names))
	})

	It("has the levels that the projects bring up, each of them and no others", func() {
		rows, seen := tableRows(), map[string][]string{}
		for _, path := range projects() {
			for _, f := range lint(path) {
				if level := f.Level.String(); !slices.Contains(seen[f.Check], level) {
					seen[f.Check] = append(seen[f.Check], level)
				}
			}
		}
		for name, levels := range rows {
			Expect(seen[name]).To(ConsistOf(levels), name)
		}
		Expect(seen).To(HaveLen(len(rows)))
	})
})
