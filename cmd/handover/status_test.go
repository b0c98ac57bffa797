package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"

	"github.com/handover-controller/handover/controller/decide"
)

func TestCommands(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Commands")
}

var escape = regexp.MustCompile("\x1b\\[[0-9]+m")

// told is an instance that holds, for a successor that is not ready yet.
func told() *controller.Status {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	at := func(d time.Duration) *time.Time { t := ago(d); return &t }
	reachable := true
	return &controller.Status{
		Time: now, Phase: "holding", Reason: "Holding", Message: "told to stop: serve on until the successor is ready",
		Instance: controller.InstanceStatus{
			ID: "0011", Container: "aaaaaaaaaaaa", App: "1234", Service: "main", Release: 1001, Version: "1.2.3",
			Told: true, ToldAt: at(2 * time.Second), HoldEndsAt: at(-50 * time.Second),
		},
		Conditions: []decide.Condition{
			{Type: decide.Ready, Status: decide.True, Reason: "ProbeSucceeded", Message: "the workload is ready", LastTransitionTime: ago(3 * time.Hour)},
			{Type: decide.YoungerAnnounced, Status: decide.False, Reason: "NotServing", Message: "the successor says that it is starting", LastTransitionTime: ago(2 * time.Second)},
			{Type: decide.YoungerRunning, Status: decide.Unknown, Reason: "NoAnswer", Message: "the Supervisor gave no usable answer", LastTransitionTime: ago(time.Second)},
		},
		Peers: []controller.PeerStatus{
			{ID: "0022", Container: "bbbbbbbbbbbb", Release: 1002, Age: "younger", Phase: "starting", Ways: []string{"folder", "multicast"}, LastHeard: ago(300 * time.Millisecond)},
			{ID: "0033", Age: "unknown", Phase: "serving", Legacy: true, Gone: true, Address: "172.17.0.9", Ways: []string{"multicast"}, LastHeard: ago(90 * time.Second)},
		},
		Supervisor: controller.SupervisorStatus{
			Mode: "required", Reachable: &reachable, RequestedAt: at(4 * time.Second), TargetRelease: 1002, TargetCommit: "abcdef",
			Containers: []controller.ContainerStatus{
				{ID: "aaaaaaaaaaaa", Status: "Stopping", CreatedAt: ago(240 * time.Hour), Release: 1001, Own: true},
				{ID: "bbbbbbbbbbbb", Status: "Running", CreatedAt: ago(5 * time.Second), Release: 1002},
			},
		},
		Workload: controller.WorkloadStatus{Running: true, Ready: true, PID: 7},
		Events: []controller.Event{
			{Time: ago(5 * time.Second), Type: "Normal", Phase: "serving", Reason: "Peer", Message: "another instance is starting (container bbbbbbbbbbbb)", Details: "age=younger"},
			{Time: ago(time.Second), Type: "Warning", Phase: "holding", Reason: "SupervisorUnknown", Message: "supervisor: view: timeout"},
		},
	}
}

var _ = Describe("handover status", func() {
	It("describes who and what this is, why, and since when", func() {
		text := describe(told(), false)
		for _, line := range []string{
			`Instance: +0011`, `Version: +1\.2\.3`, `Service: +main \(app 1234\)`, `Container: +aaaaaaaaaaaa`, `Release: +1001`,
			`Phase: +holding`, `Reason: +Holding: told to stop: serve on until`, `Told: +2s ago`, `Hold ends: +in 50s`, `Workload: +process 7, ready`,
			`  Ready +True +3h0m +ProbeSucceeded +the workload is ready`,
			`  YoungerAnnounced +False +2s +NotServing +the successor says`,
			`  bbbbbbbbbbbb +1002 +younger +starting +false +300ms ago +folder, multicast`,
			`  handover-lib 172\.17\.0\.9 +unknown +unknown +ended +false +1m30s ago +multicast`,
			`  Answer: +asked for 4s ago`, `  Target: +1002 abcdef`,
			`  aaaaaaaaaaaa \(this one\) +1001 +Stopping +240h0m ago`, `  bbbbbbbbbbbb +1002 +Running +5s ago`,
			`  1s +Warning +SupervisorUnknown +supervisor: view: timeout`,
		} {
			Expect(text).To(MatchRegexp(`(?m)^` + line))
		}
	})

	It("is the same text in colours", func() {
		grey, bright := describe(told(), false), describe(told(), true)
		Expect(grey).NotTo(ContainSubstring("\x1b"))
		Expect(bright).To(ContainSubstring("\x1b[33mholding\x1b[0m"))
		Expect(bright).To(MatchRegexp("\x1b\\[33mWarning\x1b\\[0m"))
		Expect(escape.ReplaceAllString(bright, "")).To(Equal(grey), "columns stay columns")
	})

	It("shows the last events only", func() {
		st := told()
		for range 50 {
			st.Events = append(st.Events, controller.Event{Time: st.Time, Type: "Normal", Reason: "Later", Message: "later"})
		}
		Expect(strings.Count(describe(st, false), "Later")).To(Equal(eventsShown))
	})

	It("follows line by line, each event once", func() {
		var out bytes.Buffer
		f := follower{out: &out}
		st := told()
		Expect(f.print(st)).To(Succeed())
		Expect(f.print(st)).To(Succeed())
		st.Events = append(st.Events, controller.Event{Time: st.Time, Type: "Normal", Phase: "gone", Reason: "HandedOver", Message: "over", Details: "exitCode=0"})
		Expect(f.print(st)).To(Succeed())
		Expect(out.String()).To(Equal("03:04:00.000 serving  Normal  Peer               another instance is starting (container bbbbbbbbbbbb)  age=younger\n" +
			"03:04:04.000 holding  Warning SupervisorUnknown  supervisor: view: timeout\n" +
			"03:04:05.000 gone     Normal  HandedOver         over  exitCode=0\n"))
		plain := out.String()
		out.Reset()
		f = follower{out: &out, painter: true}
		Expect(f.print(st)).To(Succeed())
		Expect(out.String()).NotTo(Equal(plain))
		Expect(escape.ReplaceAllString(out.String(), "")).To(Equal(plain))
	})

	It("has colours on a terminal only, and not if they are unwanted", func() {
		read, write, err := os.Pipe()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _, _ = read.Close(), write.Close() })
		Expect(coloured(write, []string{"TERM=xterm"})).To(BeFalse(), "a pipe")

		terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
		if err != nil {
			Skip("no pseudo-terminal: " + err.Error())
		}
		DeferCleanup(terminal.Close)
		Expect(coloured(terminal, []string{"TERM=xterm"})).To(BeTrue())
		Expect(coloured(terminal, []string{"TERM=xterm", "NO_COLOR="})).To(BeTrue(), "empty means unset")
		Expect(coloured(terminal, []string{"TERM=xterm", "NO_COLOR=1"})).To(BeFalse())
		Expect(coloured(terminal, []string{"TERM=dumb"})).To(BeFalse())
		Expect(coloured(terminal, nil)).To(BeFalse())
	})
})
