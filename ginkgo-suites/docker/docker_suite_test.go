// Package docker_test runs the real program as PID 1 of real containers: a
// Docker engine starts, stops, kills and restarts them.
//
// It needs an engine that answers `docker info`, which it never starts, and
// skips without one. All that it makes there has a label of its own and is
// removed at the end. `.ci/with-docker go test ./ginkgo-suites/docker` gives it
// an engine that is apart from all else on the machine.
//
// It speaks to the engine by the docker command only, so the engine may be on
// another machine. The program is built as for a release: static, so without
// the race detector.
package docker_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// patience is how long a loaded machine may take for what takes milliseconds.
const patience = time.Minute

// soon is a generous bound for what takes a second at most.
const soon = 15 * time.Second

// Names of the label's keys on all that this suite makes.
const (
	runLabel     = "handover-docker-suite"
	serviceLabel = "handover-docker-suite.service"
)

// kit is what is made once for all specs.
var kit struct {
	// Run is this run's value of the label.
	Run string
	// Image has handover and the program in inside, and nothing else.
	Image string
	// Network is the bridge of all containers.
	Network string
}

func TestDocker(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "handover in containers")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	Expect(built.DependOnSources()).To(Succeed())
	if why := noEngine(); why != "" {
		Skip(why)
	}
	removeForgotten()
	kit.Run = fmt.Sprintf("%d-%d", time.Now().Unix(), os.Getpid())
	DeferCleanup(func() { removeRun(kit.Run) })
	kit.Network = "handover-" + kit.Run
	docker("network", "create", "--driver", "bridge", "--label", runLabel+"="+kit.Run, kit.Network)
	kit.Image = buildImage()
	text, err := json.Marshal(kit)
	Expect(err).NotTo(HaveOccurred())
	return text
}, func(text []byte) {
	Expect(json.Unmarshal(text, &kit)).To(Succeed())
	startOutside()
})

// noEngine tells why there is none that can be used, if so.
func noEngine() string {
	if _, err := exec.LookPath("docker"); err != nil {
		return "needs the command docker and an engine; see .ci/with-docker"
	}
	// So that the go command does not take a skip for the result of a run with
	// an engine that came up since.
	if os.Getenv("DOCKER_HOST") == "" {
		_, _ = os.Stat("/var/run/docker.sock")
	}
	out, err := tryDocker("info", "--format", "{{.OSType}}")
	switch {
	case err != nil:
		return "no Docker engine answers; see .ci/with-docker: " + err.Error()
	case !strings.HasPrefix(out, "linux"):
		return "needs an engine for Linux containers: " + out
	}
	return ""
}

// buildImage builds the program and the one in inside, and makes an image of
// the two. Nothing is pulled.
func buildImage() string {
	GinkgoHelper()
	root, err := os.MkdirTemp("", "handover-docker-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, root)
	Expect(os.Mkdir(filepath.Join(root, "tmp"), 0o700)).To(Succeed())
	Expect(os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky)).To(Succeed())
	const module = "github.com/handover-controller/handover/"
	for name, pkg := range map[string]string{"handover": "cmd/handover", "inside": "ginkgo-suites/docker/inside"} {
		build := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags=-s -w",
			"-o", filepath.Join(root, "usr", "bin", name), module+pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+docker("version", "--format", "{{.Server.Arch}}"))
		said, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(said))
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	Expect(archive.AddFS(os.DirFS(root))).To(Succeed())
	Expect(archive.Close()).To(Succeed())
	id, err := pipeDocker(&files, "import", "--change", "LABEL "+runLabel+"="+kit.Run,
		"--change", `ENTRYPOINT ["/usr/bin/handover", "run", "--"]`, "--change", `CMD ["/usr/bin/inside", "serve"]`,
		"--change", `HEALTHCHECK CMD ["/usr/bin/handover", "probe"]`, "-")
	Expect(err).NotTo(HaveOccurred())
	return id
}

// removeForgotten removes what runs left that were killed. None lasts an hour.
func removeForgotten() {
	GinkgoHelper()
	for run := range strings.FieldsSeq(docker("network", "ls", "--filter", "label="+runLabel, "--format", `{{.Label "`+runLabel+`"}}`)) {
		started, _, _ := strings.Cut(run, "-")
		if seconds, err := strconv.ParseInt(started, 10, 64); err == nil && time.Since(time.Unix(seconds, 0)) > time.Hour {
			removeRun(run)
		}
	}
}

// removeRun removes all that a run made: containers, what they used, and last
// the network, by which forgotten runs are found.
func removeRun(run string) {
	GinkgoHelper()
	for _, kind := range []string{"container", "volume", "image", "network"} {
		list := []string{kind, "ls", "--quiet", "--filter", "label=" + runLabel + "=" + run}
		if kind == "container" || kind == "image" {
			list = append(list, "--all")
		}
		Eventually(func() string {
			left := docker(list...)
			for id := range strings.FieldsSeq(left) {
				remove := []string{kind, "rm", id}
				if kind != "network" {
					remove = []string{kind, "rm", "--force", id}
				}
				_, _ = tryDocker(remove...) // one that ends by itself may be gone
			}
			return left
		}, patience, 50*time.Millisecond).Should(BeEmpty(), "%ss are left", kind)
	}
}
