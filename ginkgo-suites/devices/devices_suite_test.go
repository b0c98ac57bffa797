// Package devices_test runs the program as it is built for the processors of
// balena's devices, emulated: exit statuses, orphans, and hand-overs. It needs
// qemu-user (Debian's package of that name).
//
// The specs are those of the suite of `handover run` that are marked for it; with
// DEVICES_ALL=1 all of them run, but for three that look at what an emulator changes.
// Instances find each other by the shared folder, as qemu-user cannot join a
// multicast group.
package devices_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: an emulated program says nothing about races, and takes its time")
	}
	RegisterFailHandler(Fail)
	RunSpecs(t, "devices")
}

// marked is how many specs of the other suite are marked and need no root: one of
// them skips for anybody else.
const marked = 7

var ran = regexp.MustCompile(`Ran (\d+) of \d+ Specs`)

// device is a kind of device, and what runs its programs here, if the kernel
// cannot.
type device struct {
	name, emulator string
	result         chan result
}

type result struct {
	out []byte
	err error
}

var devices = []*device{
	{name: "aarch64", emulator: "qemu-aarch64"},
	{name: "armv7hf", emulator: "qemu-arm"},
	{name: "rpi", emulator: "qemu-arm"},
	{name: "i386"}, // qemu-i386 does not run Go's programs
}

// missing says why the device's programs cannot be run here.
func (d *device) missing() string {
	if d.emulator == "" {
		if runtime.GOARCH != "amd64" {
			return "only an amd64 kernel runs it"
		}
		return ""
	}
	if _, err := exec.LookPath(d.emulator); err != nil {
		return d.emulator + " is missing; install qemu-user"
	}
	return ""
}

// run runs the other suite for the device.
func (d *device) run(ctx context.Context) {
	filter := "-ginkgo.label-filter=device"
	if os.Getenv("DEVICES_ALL") != "" {
		filter = "-ginkgo.skip=Hostile datagrams|streams, environment|status tells"
	}
	suite := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "../run", filter, "-ginkgo.no-color")
	suite.Env = append(os.Environ(), "RUN_SUITE_DEVICE="+d.name)
	// It is ended as by Ctrl-C, with all that it started: it cleans up.
	suite.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	suite.Cancel = func() error { return syscall.Kill(-suite.Process.Pid, syscall.SIGINT) }
	suite.WaitDelay = 20 * time.Second
	out, err := suite.CombinedOutput()
	d.result <- result{out, err}
}

// All at once, as they mostly wait.
var _ = BeforeSuite(func() {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	for _, d := range devices {
		d.result = make(chan result, 1)
		if d.missing() == "" {
			go d.run(ctx)
		}
	}
})

var _ = Describe("The program, built for", func() {
	for _, d := range devices {
		It(d.name+", works", func(ctx SpecContext) {
			if why := d.missing(); why != "" {
				Skip(why)
			}
			select {
			case r := <-d.result:
				Expect(r.err).NotTo(HaveOccurred(), string(r.out))
				m := ran.FindSubmatch(r.out)
				Expect(m).NotTo(BeNil(), string(r.out))
				Expect(strconv.Atoi(string(m[1]))).To(BeNumerically(">=", marked), string(r.out))
			case <-ctx.Done():
				Fail("it takes too long")
			}
		}, SpecTimeout(4*time.Minute))
	}
})
