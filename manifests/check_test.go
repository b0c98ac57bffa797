package manifests_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

// project is a folder with an example copied to where README.md says, and the
// path of its compose file.
func project(composeFile, template string) string {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	put := func(name, text string) {
		path := filepath.Join(folder, name)
		Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	put("docker-compose.yml", read(composeFile))
	put("Dockerfile.template", read(template))
	put("handover.yaml", read(settingsPath))
	from := filepath.Dir(composeFile)
	if from == "." {
		put("balena.yml", read(balenaPath))
		return filepath.Join(folder, "docker-compose.yml")
	}
	Expect(filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path != composeFile {
			put(strings.TrimPrefix(path, from+"/"), read(path))
		}
		return err
	})).To(Succeed())
	return filepath.Join(folder, "docker-compose.yml")
}

var _ = Describe("handover check --compose", func() {
	for composeFile := range composeExamples {
		for template, language := range dockerfilePaths {
			It("finds nothing worse than a note in "+composeFile+" with the image for "+language, func() {
				report := compose.Lint(compose.Options{Path: project(composeFile, template)})
				Expect(report).NotTo(BeEmpty())
				for _, f := range report {
					Expect(f.Level).To(BeNumerically("<=", check.Note), "%+v", f)
				}
				Expect(report.Worst()).To(BeNumerically("<=", check.Note))
			})
		}

		It("would find what is wrong with "+composeFile, func() {
			path := project(composeFile, dockerfilePath)
			text := broken(read(path), "strategy: hand-over", "strategy: handover")
			Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
			report := compose.Lint(compose.Options{Path: path})
			Expect(report.Worst()).To(BeNumerically(">", check.Note))
		})
	}
})
