package workload_test

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/handover-controller/handover/controller/workload"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		// Not os.Exit: with the race detector that takes a second.
		syscall.Exit(child(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestWorkload(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	RunSpecs(t, "Workload")
}

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before)) })
})

// self is the command line of this test binary in a role of child.
func self(args ...string) []string {
	path, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	return append([]string{path, "child"}, args...)
}

// output is a file that a workload writes to.
type output struct{ *os.File }

func newOutput() output {
	f, err := os.Create(filepath.Join(GinkgoT().TempDir(), "output"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Close)
	return output{f}
}

func (o output) text() string {
	b, err := os.ReadFile(o.Name())
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

func (o output) lines() []string { return strings.Fields(o.text()) }

// quick is a readiness rule with short periods.
func quick(r workload.Readiness) workload.Readiness {
	r.Period, r.ServingPeriod, r.Failures = 10*time.Millisecond, 10*time.Millisecond, 2
	return r
}

// create makes a workload that is closed at the end of the test.
func create(o workload.Options) *workload.Workload {
	GinkgoHelper()
	if o.Stdin == nil {
		null, err := os.Open(os.DevNull)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(null.Close)
		o.Stdin = null
	}
	if o.Stdout == nil {
		o.Stdout = newOutput().File
	}
	o.Stderr = o.Stdout
	if o.Logger == nil {
		o.Logger = logger(GinkgoWriter)
	}
	w, err := workload.New(o)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.Close)
	return w
}

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func start(o workload.Options) *workload.Workload {
	GinkgoHelper()
	w := create(o)
	Expect(w.Start()).To(Succeed())
	return w
}

// started starts a workload that prints, and waits for its first line.
func started(o workload.Options) (*workload.Workload, output) {
	GinkgoHelper()
	out := newOutput()
	o.Stdout = out.File
	w := start(o)
	Eventually(out.lines).ShouldNot(BeEmpty())
	return w, out
}

func ended(w *workload.Workload) func() bool {
	return func() bool { return !w.State().Ended.IsZero() }
}

func ready(w *workload.Workload) func() bool {
	return func() bool { return w.State().Ready }
}

// plainly runs a command with os/exec, which a workload must not disturb.
func plainly(name string, args ...string) string {
	GinkgoHelper()
	out, err := exec.Command(name, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}

// soon is a plan that sends the stop signal at once and leaves plenty of time.
func soon() workload.Plan { return workload.Plan{KillAfter: time.Minute} }
