package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// sources is what the rules want to know of the Go files of the repository.
type sources struct {
	folders map[string]*folder
	// lines are those of each file, without the white space at both ends.
	lines map[string][]string
	// literals are the texts of the program, tests left out; words are they and
	// all declared names, tests included.
	literals []string
	words    map[string]bool
}

// folder is a package.
type folder struct {
	main  bool
	tests []string // Test…, Benchmark…, Fuzz… and Example… functions
	// literals are all of its texts.
	literals []string
}

func readSources(root string) (*sources, error) {
	s := &sources{folders: map[string]*folder{}, lines: map[string][]string{}, words: map[string]bool{}}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (skipped(entry.Name()) || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, ".go"):
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return s.add(filepath.ToSlash(name), string(text))
	})
	return s, err
}

func (s *sources) add(name, text string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		s.lines[name] = append(s.lines[name], strings.TrimSpace(line))
	}
	f := s.folders[path.Dir(name)]
	if f == nil {
		f = &folder{}
		s.folders[path.Dir(name)] = f
	}
	test := strings.HasSuffix(name, "_test.go")
	// This suite has broken examples in it.
	own := path.Dir(name) == "ginkgo-suites/docs"
	f.main = f.main || !test && parsed.Name.Name == "main"
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			literal, err := strconv.Unquote(n.Value)
			if n.Kind != token.STRING || err != nil {
				return true
			}
			f.literals = append(f.literals, literal)
			if !own {
				s.words[literal] = true
			}
			if !test {
				s.literals = append(s.literals, literal)
			}
		case *ast.FuncDecl:
			s.words[n.Name.Name] = true
			if test && n.Recv == nil {
				f.tests = append(f.tests, n.Name.Name)
			}
		case *ast.TypeSpec:
			s.words[n.Name.Name] = true
		case *ast.Field:
			for _, name := range n.Names {
				s.words[name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				s.words[name.Name] = true
			}
		}
		return true
	})
	return nil
}

// says reports whether a text of the program has this in it.
func (s *sources) says(text string) bool {
	for _, l := range s.literals {
		if strings.Contains(l, text) {
			return true
		}
	}
	return false
}

// has returns the file that has these lines one after the other, however they
// are indented; empty if none has.
func (s *sources) has(text string) string {
	var wanted []string
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		wanted = append(wanted, strings.TrimSpace(line))
	}
	for name, lines := range s.lines {
		for i := 0; i+len(wanted) <= len(lines); i++ {
			n := 0
			for n < len(wanted) && lines[i+n] == wanted[n] {
				n++
			}
			if n == len(wanted) {
				return name
			}
		}
	}
	return ""
}

// match returns the packages of a pattern such as ./peer/... .
func (s *sources) match(pattern string) map[string]*folder {
	dir, all := strings.CutSuffix(strings.TrimPrefix(pattern, "./"), "...")
	dir = strings.TrimSuffix(dir, "/")
	found := map[string]*folder{}
	for name, f := range s.folders {
		if name == dir || all && (dir == "" || strings.HasPrefix(name, dir+"/")) {
			found[name] = f
		}
	}
	return found
}

// testNames reports whether the expression, of which each part between | is
// looked at by itself, finds functions that begin with this.
func testsMatch(packages map[string]*folder, prefix, expression string) bool {
	for part := range strings.SplitSeq(expression, "|") {
		first, _, _ := strings.Cut(part, "/")
		re, err := regexp.Compile(first)
		if err != nil {
			return false
		}
		found := false
		for _, f := range packages {
			for _, name := range f.tests {
				found = found || strings.HasPrefix(name, prefix) && re.MatchString(name)
			}
		}
		if !found {
			return false
		}
	}
	return true
}
