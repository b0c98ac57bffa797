package simulator_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// patience bounds what takes as long as it takes.
const patience = 20 * time.Second

// output collects what containers write.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func must(p simulator.Process, err error) simulator.Process {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return p
}

var _ = Describe("Containers as real processes", func() {
	var (
		dir string
		out *output
		p   *simulator.Processes
		s   *simulator.Simulator
	)
	// play starts a Supervisor whose containers run a shell script.
	play := func(script string) {
		GinkgoHelper()
		dir = GinkgoT().TempDir()
		out = &output{}
		p = &simulator.Processes{
			Dir:     dir,
			Command: func(simulator.Container) []string { return []string{"sh", "-c", script} },
			Env:     func(c simulator.Container) []string { return []string{fmt.Sprintf("START=%d", c.Starts)} },
			Output:  func(simulator.Container) io.Writer { return out },
		}
		v, err := simulator.ByName("19.0.5")
		Expect(err).NotTo(HaveOccurred())
		s, err = simulator.New(simulator.Options{Version: v, Runtime: p, Marker: p.Marker(), Seed: 1})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		_, err = s.Listen("127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		s.SetTarget((&actions{}).release("A"))
	}
	only := func() simulator.Container {
		GinkgoHelper()
		Expect(s.Containers()).To(HaveLen(1))
		return s.Containers()[0]
	}

	It("have an id, their environment and folders of their own, and reach the API over TCP", func(ctx SpecContext) {
		play(`echo "$HANDOVER_SERVICE_CONTAINER_ID $BALENA_SUPERVISOR_ADDRESS $BALENA_SUPERVISOR_API_KEY $(pwd)"; exec sleep 60`)
		Eventually(out.String, patience).Should(HaveSuffix("\n"))
		said := strings.Fields(out.String())
		c := only()
		Expect(said[0]).To(Equal(c.ID))
		Expect(said[3]).To(Equal(p.Folder(c.ID)))
		client, err := supervisor.NewClient(supervisor.Options{Address: said[1], APIKey: said[2]})
		Expect(err).NotTo(HaveOccurred())
		v, err := client.View(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(v.Containers).To(ContainElement(HaveField("ID", c.ID)))

		By("refusing connections while the Supervisor is down")
		s.Down()
		_, err = client.View(ctx)
		Expect(err).To(HaveField("Kind", supervisor.KindUnreachable))
		s.Up()
		Eventually(ctx, func() error { _, err := client.View(ctx); return err }).Should(Succeed())
	}, SpecTimeout(patience))

	It("are restarted with the files that they left", func() {
		play(`echo "$START" >> starts; [ "$START" = 3 ] && exec sleep 60; exit 7`)
		Eventually(func() string {
			if len(s.Containers()) == 0 {
				return ""
			}
			text, _ := os.ReadFile(filepath.Join(p.Folder(only().ID), "starts"))
			return string(text)
		}, patience).Should(Equal("1\n2\n3\n"))
	})

	It("take with them what they started", func() {
		play(`setsid sleep 600 & echo $!; wait`)
		Eventually(out.String, patience).Should(HaveSuffix("\n"))
		var left int
		_, err := fmt.Sscan(out.String(), &left)
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(left, 0)).To(Succeed())
		s.Stop()
		Eventually(s.Containers, patience).Should(BeEmpty())
		// It is a zombie of whoever reaps orphans here, or gone.
		Eventually(func() string {
			state, _ := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(left)).Output()
			return strings.TrimSpace(string(state))
		}, patience).Should(Or(BeEmpty(), HavePrefix("Z")))
	})

	It("leave those of another simulation alone, whose ids are the same with the same seed", func() {
		script := func(simulator.Container) []string { return []string{"sh", "-c", "exec sleep 60"} }
		here := &simulator.Processes{Dir: GinkgoT().TempDir(), Command: script}
		there := &simulator.Processes{Dir: GinkgoT().TempDir(), Command: script}
		c := simulator.Container{ID: strings.Repeat("e", 64)}
		ends, stays, twin := must(here.Start(c)), must(there.Start(c)), must(here.Start(c))
		ends.Signal(syscall.SIGKILL)
		Eventually(ends.Done(), patience).Should(BeClosed())
		Eventually(twin.Done(), patience).Should(BeClosed())
		Expect(twin.Code()).To(Equal(128+9), "of the same container")
		stays.Signal(syscall.SIGTERM)
		Eventually(stays.Done(), patience).Should(BeClosed())
		Expect(stays.Code()).To(Equal(128 + 15))
	})

	It("take with them also what just becomes another program", func() {
		// Each process is, most of the time, in the middle of execve(2).
		again := filepath.Join(GinkgoT().TempDir(), "again")
		Expect(os.WriteFile(again, []byte("#!/bin/sh\nexec \"$0\"\n"), 0o755)).To(Succeed())
		command := []string{"sleep", "60"}
		p := &simulator.Processes{Dir: GinkgoT().TempDir(), Command: func(simulator.Container) []string { return command }}
		var left []simulator.Process
		DeferCleanup(func() {
			for _, l := range left {
				l.Signal(syscall.SIGKILL)
			}
		})
		for i := range 50 {
			c := simulator.Container{ID: fmt.Sprintf("%064x", i)}
			command = []string{"sleep", "60"}
			ends := must(p.Start(c))
			command = []string{again}
			left = append(left, must(p.Start(c)))
			ends.Signal(syscall.SIGKILL)
			Eventually(ends.Done(), patience).Should(BeClosed())
			Eventually(left[i].Done(), patience).Should(BeClosed())
			Expect(left[i].Code()).To(Equal(128 + 9))
		}
	})

	It("end with a signal's status", func(ctx SpecContext) {
		play(`kill -TERM $$; sleep 60`)
		code := make(chan int, 1)
		Expect(s.Wait(ctx, func() bool { return len(s.Containers()) == 1 && s.Containers()[0].Starts > 1 })).To(Succeed())
		process, err := p.Start(simulator.Container{ID: strings.Repeat("d", 64)})
		Expect(err).NotTo(HaveOccurred())
		go func() {
			<-process.Done()
			code <- process.Code()
		}()
		Eventually(ctx, code).Should(Receive(Equal(128 + 15)))
	}, SpecTimeout(patience))

	It("see the marker that an instance writes disappear", func() {
		dir := GinkgoT().TempDir()
		path := filepath.Join(dir, "handover-complete")
		Expect(simulator.MarkerFile(path).Take()).To(BeFalse())
		Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
		Expect(simulator.MarkerFile(path).Take()).To(BeTrue())
		Expect(path).NotTo(BeAnExistingFile())
	})
})
