package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tryDocker runs the docker command and returns what it printed.
func tryDocker(args ...string) (string, error) { return pipeDocker(nil, args...) }

// pipeDocker is tryDocker with something on standard input.
func pipeDocker(in io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin = in
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// docker is tryDocker for what must succeed.
func docker(args ...string) string {
	GinkgoHelper()
	out, err := tryDocker(args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// event is something that the engine did to a container.
type event struct {
	Action string `json:"Action"`
	Actor  struct {
		ID         string            `json:"ID"`
		Attributes map[string]string `json:"Attributes"`
	} `json:"Actor"`
	TimeNano int64 `json:"timeNano"`
}

func (e *event) time() time.Time { return time.Unix(0, e.TimeNano) }

// journal is all that the engine did to the containers of a service, as it
// tells it itself.
type journal struct {
	mu     sync.Mutex
	events []event
}

// follow follows what the engine does with the containers of a service until
// the spec ends. It calls each with every event, in order.
func (j *journal) follow(service string, each func(event)) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	args := []string{"events", "--since", "1", "--format", "{{json .}}", "--filter", "type=container", "--filter", "label=" + serviceLabel + "=" + service}
	for _, action := range []string{"create", "start", "kill", "die", "destroy"} {
		args = append(args, "--filter", "event="+action)
	}
	cmd := exec.CommandContext(ctx, "docker", args...)
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := json.NewDecoder(out)
		for {
			var e event
			if lines.Decode(&e) != nil {
				break
			}
			j.mu.Lock()
			j.events = append(j.events, e)
			j.mu.Unlock()
			each(e)
		}
		_ = cmd.Wait()
	}()
	DeferCleanup(func() {
		cancel()
		<-done
	})
}

// of returns what was done to a container, of one kind.
func (j *journal) of(c *container, action string) []event {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.events)
	return slices.DeleteFunc(all, func(e event) bool { return e.Actor.ID != c.id || e.Action != action })
}

// at waits until something was done to a container for the nth time, counted
// from 1, and returns when that was.
func (j *journal) at(c *container, action string, n int) time.Time {
	GinkgoHelper()
	Eventually(func() int { return len(j.of(c, action)) }, patience, 10*time.Millisecond).Should(BeNumerically(">=", n), "%s of %s", action, c.name)
	return j.of(c, action)[n-1].time()
}
