package manifests_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestManifests(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Manifests")
}

// read returns a file of this repository.
func read(path string) string {
	GinkgoHelper()
	data, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	return string(data)
}

// broken is the text with one place changed, which must be there once.
func broken(text, old, replacement string) string {
	GinkgoHelper()
	Expect(strings.Count(text, old)).To(Equal(1), "%q must stand there once", old)
	return strings.Replace(text, old, replacement, 1)
}

// load loads a handover.yaml with this content, none if it is empty.
func load(content string, environ ...string) (*config.Loaded, error) {
	return config.Load(config.Options{Environ: environ, Open: func(path string) (io.ReadCloser, error) {
		if content == "" || path != "handover.yaml" {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(strings.NewReader(content)), nil
	}})
}

// faults are what a checker has found.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }
