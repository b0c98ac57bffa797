package compose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

func TestCompose(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Check compose")
}

const fileName = "docker-compose.yml"

func lint(path string) check.Report { return compose.Lint(compose.Options{Path: path}) }

// lintText lints a compose file with nothing beside it.
func lintText(text string) check.Report {
	GinkgoHelper()
	return lint(project(map[string]string{fileName: text}))
}

// project writes files into a folder of their own, and returns the path of the
// compose file.
func project(files map[string]string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	return filepath.Join(dir, fileName)
}

// projects are the compose files in testdata.
func projects() []string {
	GinkgoHelper()
	var all []string
	Expect(filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == fileName {
			all = append(all, path)
		}
		return err
	})).To(Succeed())
	return all
}
