// Package release_test looks at how releases are built: what goreleaser would
// build is what .ci/run builds and measures, and says which commit it is of.
package release_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestRelease(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "release")
}

const (
	configuration = "../../.ci/goreleaser.yaml"
	ci            = "../../.ci/run"
)

// release is the part of goreleaser's configuration that is looked at.
type release struct {
	Builds []build `yaml:"builds"`
	SBOMs  []any   `yaml:"sboms"`
	Sums   struct {
		Algorithm string `yaml:"algorithm"`
	} `yaml:"checksum"`
}

type build struct {
	Main    string   `yaml:"main"`
	Env     []string `yaml:"env"`
	Flags   []string `yaml:"flags"`
	Tags    []string `yaml:"tags"`
	Ldflags string   `yaml:"ldflags"`
	Goos    []string `yaml:"goos"`
	Goarch  []string `yaml:"goarch"`
	Goarm   []string `yaml:"goarm"`
}

func read() release {
	GinkgoHelper()
	text, err := os.ReadFile(configuration)
	Expect(err).NotTo(HaveOccurred())
	var r release
	Expect(yaml.Unmarshal(text, &r)).To(Succeed())
	Expect(r.Builds).To(HaveLen(1))
	return r
}

// processors are those that it builds for, as "GOARCH GOARM".
func (b build) processors() []string {
	var all []string
	for _, arch := range b.Goarch {
		if arch != "arm" {
			all = append(all, arch)
			continue
		}
		for _, arm := range b.Goarm {
			all = append(all, arch+" "+arm)
		}
	}
	return all
}

var _ = Describe("A release", func() {
	It("is what goreleaser accepts", func() {
		if _, err := exec.LookPath("goreleaser"); err != nil {
			Skip("goreleaser is missing; .ci/run says which version to install")
		}
		out, err := exec.Command("goreleaser", "check", configuration).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	})

	It("is built for the same processors and with the same flags as by .ci/run", func() {
		script, err := os.ReadFile(ci)
		Expect(err).NotTo(HaveOccurred())
		var measured []string
		for _, m := range regexp.MustCompile(`(?m)^build \S+ (\S+) (\S+)$`).FindAllStringSubmatch(string(script), -1) {
			measured = append(measured, strings.TrimSpace(m[1]+" "+strings.Trim(m[2], "'")))
		}
		b := read().Builds[0]
		Expect(b.processors()).To(ConsistOf(measured))
		Expect(b.Goos).To(Equal([]string{"linux"}))

		command := regexp.MustCompile(`(?s)CGO_ENABLED=0 .*?go build (.*?) -o \S+ (\S+)\n`).FindSubmatch(script)
		Expect(command).NotTo(BeNil())
		flags := strings.Join(b.Flags, " ") + " -tags " + strings.Join(b.Tags, ",") + " -ldflags='-s -w'"
		Expect(string(command[1])).To(Equal(flags))
		Expect(string(command[2])).To(Equal(b.Main))
		Expect(b.Ldflags).To(HavePrefix("-s -w "))
		Expect(b.Env).To(Equal([]string{"CGO_ENABLED=0"}))
	})

	It("comes with checksums and lists of contents", func() {
		r := read()
		Expect(r.Sums.Algorithm).To(Equal("sha256"))
		Expect(r.SBOMs).NotTo(BeEmpty())
	})

	It("tells its version, its commit and the commit's date", func() {
		b := read().Builds[0]
		values := map[string]string{
			"{{ .Version }}": "1.2.3", "{{ .FullCommit }}": "0123456789abcdef0123456789abcdef01234567",
			"{{ .CommitDate }}": "2026-01-02T03:04:05Z",
		}
		ldflags := b.Ldflags
		for _, template := range slices.Sorted(maps.Keys(values)) {
			Expect(ldflags).To(ContainSubstring(template))
			ldflags = strings.ReplaceAll(ldflags, template, values[template])
		}
		Expect(ldflags).NotTo(ContainSubstring("{{"))
		binary := filepath.Join(GinkgoT().TempDir(), "handover")
		cmd := exec.Command("go", "build", "-tags", strings.Join(b.Tags, ","), "-ldflags", ldflags, "-o", binary, "../../cmd/handover")
		cmd.Env = append(os.Environ(), b.Env...)
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		out, err = exec.Command(binary, "version").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(HavePrefix("handover v1.2.3, commit 0123456789abcdef0123456789abcdef01234567, of 2026-01-02T03:04:05Z, go"))
	})
})
