package compose_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

// FuzzLint holds that Lint never panics and never ends without a finding,
// whatever the compose file, the Dockerfile, handover.yaml and package.json are.
func FuzzLint(f *testing.F) {
	root, err := filepath.Glob("testdata/*")
	if err != nil {
		f.Fatal(err)
	}
	read := func(path ...string) string {
		data, _ := os.ReadFile(filepath.Join(path...))
		return string(data)
	}
	for _, dir := range root {
		f.Add(read(dir, fileName), read(dir, "Dockerfile"), read(dir, "handover.yaml"), read(dir, "package.json"))
	}
	f.Add(bomb("{<<: [*%s, *%s]}"), "FROM a\nRUN <<E\nE\nCMD b", "a: &a [*a]", `{"dependencies": {"handover-lib": 1}}`)
	f.Add(everyField("{a: b}"), "FROM a AS b\nFROM b", "", "[]")
	f.Fuzz(func(t *testing.T, file, dockerfile, settings, pkg string) {
		dir := t.TempDir()
		for name, text := range map[string]string{fileName: file, "Dockerfile": dockerfile, "handover.yaml": settings, "package.json": pkg} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		report := compose.Lint(compose.Options{Path: filepath.Join(dir, fileName)})
		if len(report) == 0 {
			t.Fatal("no finding")
		}
		for _, f := range report {
			if f.Found == "" || f.Check == "" || f.File == "" || f.Level == check.OK && f.Check != "compose.strategy" {
				t.Fatalf("%+v", f)
			}
		}
	})
}
