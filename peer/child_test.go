package peer_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

// childVariable makes this test binary a child: it opens the multicast of that
// configuration, in the network namespace in which it was started. It prints
//
//	using lo,eth0          the interfaces in use, at every change
//	heard eth0 0100…       a datagram, or "dropped REASON"
//	reach                  an event
//
// and sends what it is told to: lines of hexadecimal digits. It ends with its
// standard input.
const childVariable = "PEER_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := beChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if text := os.Getenv(floodVariable); text != "" {
		if err := beFloodTarget(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if root := os.Getenv(usualVariable); root != "" {
		if err := beUsual(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if folder := os.Getenv(ownerVariable); folder != "" {
		if err := beOwner(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// childConfig is what a child needs to know.
type childConfig struct {
	Mode      peer.Mode
	Interface string
	Filter    *peer.Filter
}

func beChild(text string) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	m, err := peer.OpenMulticast(peer.MulticastConfig{
		Mode: cfg.Mode, Interface: cfg.Interface, Filter: cfg.Filter, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	go func() {
		last := "?"
		for {
			if now := strings.Join(m.Status().Interfaces, ","); now != last {
				fmt.Println("using", now)
				last = now
			}
			time.Sleep(5 * time.Millisecond) // real time: this is no test, but a child
		}
	}()
	go func() {
		buf := make([]byte, peer.MaxDatagram+1)
		for {
			r, err := m.Receive(buf)
			switch {
			case err != nil:
				return
			case r.Event == peer.EventReach:
				fmt.Println("reach")
			case r.Drop != peer.NotDropped:
				fmt.Println("dropped", r.Drop)
			default:
				fmt.Println("heard", r.Interface, hex.EncodeToString(buf[:r.N]))
			}
		}
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		raw, err := hex.DecodeString(lines.Text())
		if err != nil {
			return err
		}
		if err := m.Send(raw, false); err != nil {
			fmt.Println("cannot send:", err)
		}
	}
	return m.Close()
}

// child is such a process, seen from the test.
type child struct {
	name  string
	stdin io.WriteCloser

	mu    sync.Mutex
	lines []string
}

// startChild starts one in a network namespace. It is ended with the spec.
func startChild(namespace string, cfg childConfig) *child {
	GinkgoHelper()
	text, err := json.Marshal(cfg)
	Expect(err).NotTo(HaveOccurred())
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	command := exec.Command("ip", "netns", "exec", namespace, self)
	command.Env = append(os.Environ(), childVariable+"="+string(text))
	command.Stderr = GinkgoWriter
	c := &child{name: namespace}
	c.stdin, err = command.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := command.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(command.Start()).To(Succeed())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.mu.Lock()
			c.lines = append(c.lines, lines.Text())
			c.mu.Unlock()
		}
	}()
	DeferCleanup(func() {
		_ = c.stdin.Close()
		<-read
		Expect(command.Wait()).To(Succeed())
	})
	return c
}

// said returns all lines so far.
func (c *child) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.lines...)
}

// using returns the interfaces in use by now, "?" before the first word.
func (c *child) using() string {
	last := "?"
	for _, line := range c.said() {
		if names, ok := strings.CutPrefix(line, "using"); ok {
			last = strings.TrimSpace(names)
		}
	}
	return last
}

// send makes the child send nine bytes that end with b.
func (c *child) send(b byte) {
	GinkgoHelper()
	_, err := fmt.Fprintln(c.stdin, hex.EncodeToString(nine(b)))
	Expect(err).NotTo(HaveOccurred())
}

// heard is the line for nine bytes that end with b.
func heard(on string, b byte) string { return "heard " + on + " " + hex.EncodeToString(nine(b)) }
