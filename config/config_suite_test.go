package config_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

func TestConfig(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Config")
}

// only is an Options.Open that knows one file, handover.yaml.
func only(content string) func(string) (io.ReadCloser, error) {
	return files(map[string]string{"handover.yaml": content})
}

// files is an Options.Open that knows these files.
func files(known map[string]string) func(string) (io.ReadCloser, error) {
	return func(path string) (io.ReadCloser, error) {
		content, ok := known[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return io.NopCloser(strings.NewReader(content)), nil
	}
}

// load reads a file's content and an environment.
func load(content string, environ ...string) (*config.Loaded, error) {
	return config.Load(config.Options{Environ: environ, Open: only(content)})
}

// mustLoad is load, for what has no problem.
func mustLoad(content string, environ ...string) *config.Loaded {
	GinkgoHelper()
	loaded, err := load(content, environ...)
	Expect(err).NotTo(HaveOccurred())
	return loaded
}

// problemsOf is what Load finds wrong, which must be something.
func problemsOf(content string, environ ...string) []config.Problem {
	GinkgoHelper()
	loaded, err := load(content, environ...)
	Expect(loaded).To(BeNil())
	var all *config.Error
	Expect(errors.As(err, &all)).To(BeTrue(), "%v", err)
	Expect(all.Problems).NotTo(BeEmpty())
	return all.Problems
}

// printed is what Print writes.
func printed(l *config.Loaded) string {
	GinkgoHelper()
	var b strings.Builder
	Expect(l.Print(&b)).To(Succeed())
	return b.String()
}
