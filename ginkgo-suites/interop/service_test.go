package interop_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// service is a container with the service of Node.js in testdata.
type service struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *lockedBuffer
	done  chan struct{}
}

// service starts one in a network. It sees the device's shared folder as
// /tmp/balena, which is where handover-lib writes its marker, and nothing else
// of /tmp: `ip netns exec` gives it mounts of its own. It listens when this
// returns.
func (d *device) service(n namespace, extra ...string) *service {
	GinkgoHelper()
	s := &service{out: &lockedBuffer{}, done: make(chan struct{})}
	s.cmd = n.exec("sh", "-c",
		`mount --bind "$SHARED" "$LIBRARY/balena" && mount --rbind "$LIBRARY" /tmp && cd /tmp && exec node service.js`)
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SHARED=" + d.shared(), "LIBRARY=" + kit.Library}, extra...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	var err error
	s.stdin, err = s.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(s.cmd.Start()).To(Succeed())
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	DeferCleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- handover-lib\n%s", s.out)
		}
	})
	Eventually(func() []string { return s.said("joined") }, patience, 10*time.Millisecond).ShouldNot(BeEmpty(), "%s", s.out)
	return s
}

// said returns what the service said behind that word, line by line.
func (s *service) said(word string) []string {
	var all []string
	for line := range strings.Lines(s.out.String()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "@ "+word); ok {
			all = append(all, strings.TrimSpace(rest))
		}
	}
	return all
}

// ready makes the service ready, so that handover-lib announces it. It returns
// when.
func (s *service) ready() time.Time {
	GinkgoHelper()
	at := time.Now()
	_, err := io.WriteString(s.stdin, "ready\n")
	Expect(err).NotTo(HaveOccurred())
	Eventually(func() []string { return s.said("ready") }, patience).Should(HaveLen(1), "%s", s.out)
	return at
}

// heard returns the datagrams that handover-lib got.
func (s *service) heard() [][]byte {
	var all [][]byte
	for _, text := range s.said("heard") {
		if raw, err := hex.DecodeString(text); err == nil { // the last line may not be whole
			all = append(all, raw)
		}
	}
	return all
}

// phases returns which phases handover-lib heard of a container, in order.
func (s *service) phases(letter string) []string { return phases(s.heard(), letter) }

// hears waits until handover-lib has heard a phase of a container.
func (s *service) hears(letter, phase string) {
	GinkgoHelper()
	Eventually(func() []string { return s.phases(letter) }, patience, 10*time.Millisecond).Should(ContainElement(phase), "of container %s", letter)
}

// called returns how often handover-lib called the service's callback.
func (s *service) called() int { return len(s.said("stopping")) }

// lives reports whether the process runs.
func (s *service) lives() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// stopping waits for the callback and returns when it was called.
func (s *service) stopping() time.Time {
	GinkgoHelper()
	Eventually(s.called, patience, 10*time.Millisecond).Should(Equal(1), "%s", s.out)
	return time.Now()
}

// unharmed expects that the process lives, and that its callback was called so
// often.
func (s *service) unharmed(called int) {
	GinkgoHelper()
	Expect(s.lives()).To(BeTrue(), "%s", s.out)
	Expect(s.called()).To(Equal(called), "%s", s.out)
}

// phases returns which phases datagrams tell of a container, each as often as it
// began.
func phases(datagrams [][]byte, letter string) []string {
	all := []string{}
	for _, raw := range datagrams {
		if a, err := announcement(raw); err == nil && string(a.Container.ID()) == containerID(letter)[:12] {
			all = append(all, a.Phase.String())
		}
	}
	return slices.Compact(all)
}
