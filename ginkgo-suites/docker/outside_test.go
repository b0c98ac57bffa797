package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const apiKey = "0123456789abcdef-the-key-of-this-test"

// outside is a container with what a service has around it: a Supervisor, and a
// front that sends requests.
var outside struct {
	// Supervisor is its address as containers see it.
	Supervisor string

	mu     sync.Mutex
	orders io.WriteCloser
	counts counts
}

// counts is what became of the requests of the front.
type counts struct {
	Requests int
	Answered map[string]int
	Lost     int
	Why      []string
	Longest  time.Duration // wait for somebody who is ready
	Over     bool
}

// startOutside starts that container. It ends with its input, at the latest when
// this process does.
func startOutside() {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "--interactive", "--label", runLabel+"="+kit.Run,
		"--network", kit.Network, "--no-healthcheck", "--env", "SUPERVISOR_KEY="+apiKey,
		"--entrypoint", "/usr/bin/inside", kit.Image, "outside")
	cmd.Stderr = GinkgoWriter
	in, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	done := make(chan struct{})
	DeferCleanup(func() {
		_ = in.Close()
		select {
		case <-done:
		case <-time.After(soon):
		}
		cancel()
		<-done
	})
	said := json.NewDecoder(out)
	var hello struct{ Address string }
	err = said.Decode(&hello)
	outside.orders, outside.Supervisor = in, "http://"+hello.Address+":48484"
	go func() {
		defer close(done)
		for {
			var c counts
			if said.Decode(&c) != nil {
				break
			}
			outside.mu.Lock()
			outside.counts = c
			outside.mu.Unlock()
		}
		_ = cmd.Wait()
	}()
	Expect(err).NotTo(HaveOccurred(), "the container with the Supervisor says nothing")
}

// order tells that container something.
func order(key string, what any) {
	outside.mu.Lock()
	defer outside.mu.Unlock()
	_ = json.NewEncoder(outside.orders).Encode(map[string]any{key: what})
}

// counted returns what became of the requests so far.
func counted() counts {
	outside.mu.Lock()
	defer outside.mu.Unlock()
	return outside.counts
}

// startLoad sends requests, a hundred a second, to who says that it is ready.
func (d *device) startLoad() {
	GinkgoHelper()
	order("load", d.Service)
	Eventually(func() bool { c := counted(); return c.Requests > 20 && !c.Over }, patience, 10*time.Millisecond).Should(BeTrue())
}

// servedBy waits until a container answers requests, and no other does.
func servedBy(name string) {
	GinkgoHelper()
	before := counted()
	Eventually(func() bool {
		now := counted()
		others := 0
		for who, n := range now.Answered {
			if who != name {
				others += n - before.Answered[who]
			}
		}
		only := others == 0 && now.Answered[name] > before.Answered[name]+20
		if others > 0 {
			before = now
		}
		return only
	}, patience, 50*time.Millisecond).Should(BeTrue(), "%s must answer: %+v", name, counted)
}

// endLoad waits for the requests in flight and returns what became of all.
func endLoad() counts {
	GinkgoHelper()
	order("load", "")
	Eventually(func() bool { return counted().Over }, patience, 10*time.Millisecond).Should(BeTrue())
	c := counted()
	AddReportEntry("requests", fmt.Sprintf("%d, %d lost, answered %v, longest wait for somebody who is ready %v",
		c.Requests, c.Lost, c.Answered, c.Longest.Round(time.Millisecond)))
	return c
}

// noneLost ends the load and expects that all requests were answered.
func noneLost() {
	GinkgoHelper()
	c := endLoad()
	Expect(c.Lost).To(BeZero(), strings.Join(c.Why, "\n"))
}
