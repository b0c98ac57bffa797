// Package demo_test runs `handover demo` and the soak as a user does.
package demo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

const module = "github.com/handover-controller/handover"

func TestDemo(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "handover demo")
}

// root is the module's folder.
var root = filepath.Join("..", "..")

func TestMain(m *testing.M) {
	if dir := os.Getenv("SOAK_TEST_DIR"); dir != "" {
		os.Exit(countingService(dir))
	}
	os.Exit(m.Run())
}

// build builds the program, with other contents for some of its files.
func build(dir, name string, instead map[string]string) string {
	GinkgoHelper()
	return buildOf(dir, name, "/cmd/handover", instead)
}

func buildOf(dir, name, what string, instead map[string]string) string {
	GinkgoHelper()
	path := filepath.Join(dir, name)
	args := []string{"build", "-o", path}
	if len(instead) > 0 {
		args = append(args, "-overlay", overlay(dir, name, instead))
	}
	cmd := exec.Command("go", append(args, module+what)...)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return path
}

// overlay writes what the go command replaces files by.
func overlay(dir, name string, instead map[string]string) string {
	GinkgoHelper()
	var entries []string
	for file, text := range instead {
		original, err := filepath.Abs(filepath.Join(root, file))
		Expect(err).NotTo(HaveOccurred())
		replacement := filepath.Join(dir, name+"-"+filepath.Base(file))
		Expect(os.WriteFile(replacement, []byte(text), 0o600)).To(Succeed())
		entries = append(entries, quote(original)+": "+quote(replacement))
	}
	path := filepath.Join(dir, name+".overlay")
	Expect(os.WriteFile(path, []byte(`{"Replace": {`+strings.Join(entries, ", ")+"}}"), 0o600)).To(Succeed())
	return path
}

func quote(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }

// mutate is a file of the module with one piece replaced.
func mutate(file, piece, by string) map[string]string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(root, file))
	Expect(err).NotTo(HaveOccurred())
	Expect(strings.Count(string(text), piece)).To(Equal(1), "%s must have %q once", file, piece)
	return map[string]string{file: strings.Replace(string(text), piece, by, 1)}
}
