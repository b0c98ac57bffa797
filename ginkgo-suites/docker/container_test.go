package docker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
)

// What the log says when the workload is ready, and when its stop signal is sent.
const (
	workloadReady = `msg="workload ready"`
	stopSignal    = `msg="stop signal sent"`
)

// container is one of the engine's, with handover as its PID 1.
type container struct {
	device *device
	name   string
	id     string
}

// shape is how a container differs from the usual one.
type shape struct {
	// Waits is set if the service is ready only when the spec says so.
	Waits bool
	// Network is the suite's bridge if empty.
	Network string
	// NoFolder leaves the shared folder away.
	NoFolder bool
	// Env are further variables.
	Env []string
	// Flags are further ones of docker create.
	Flags []string
	// Command is the service if empty.
	Command []string
}

// create creates a container as a Supervisor does.
func (d *device) create(name string, s shape) *container {
	GinkgoHelper()
	c := &container{device: d, name: name}
	args := []string{
		"create", "--label", runLabel + "=" + kit.Run, "--label", serviceLabel + "=" + d.Service,
		"--restart", "always", "--tty", "--stop-timeout", "120", "--log-driver", "json-file",
		"--name", d.Folder + "-" + name,
	}
	if s.Network == "" {
		args = append(args, "--network", kit.Network, "--network-alias", d.Service)
	} else {
		args = append(args, "--network", s.Network)
	}
	if !s.NoFolder {
		args = append(args, "--volume", d.Folder+":/tmp/balena", "--volume", d.Folder+":/tmp/resin")
	}
	env := append(d.environment(),
		"HANDOVER_SERVICE_STOP_GRACE_PERIOD=120s",
		"HANDOVER_STATUS_LISTEN=:9090",
		"HANDOVER_READINESS_HTTP=http://127.0.0.1:8080/health",
		"HANDOVER_READINESS_PERIOD=50ms",
		"SERVICE_NAME="+name,
		"SERVICE_ADDRESS=:8080",
	)
	if s.Waits {
		env = append(env, "SERVICE_WAITS=yes")
	}
	for _, variable := range append(env, s.Env...) {
		args = append(args, "--env", variable)
	}
	args = append(append(append(args, s.Flags...), kit.Image), s.Command...)
	c.id = docker(args...)
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- container %s, %s\n%s\n", c.name, c.inspect("{{json .State}}"), c.log())
		}
		docker("rm", "--force", c.id)
	})
	return c
}

// start creates a container and starts it.
func (d *device) start(name string, s shape) *container {
	GinkgoHelper()
	c := d.create(name, s)
	c.start()
	return c
}

func (c *container) start() {
	GinkgoHelper()
	docker("start", c.id)
}

// becomeReady makes a service ready that waits.
func (c *container) becomeReady() {
	GinkgoHelper()
	docker("exec", c.id, "/usr/bin/inside", "ready")
}

// stop begins a docker stop, which is over when the channel is closed. The stop
// grace period is that of the container.
func (c *container) stop() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(over)
		docker("stop", c.id)
	}()
	return over
}

// killFirst kills the container's PID 1 as a crash would: the engine was not
// asked, so the restart policy counts. It takes a process outside.
func (c *container) killFirst() {
	GinkgoHelper()
	docker("run", "--rm", "--label", runLabel+"="+kit.Run, "--network", "none", "--pid", "host", "--userns", "host",
		"--no-healthcheck", "--entrypoint", "/usr/bin/inside", kit.Image, "kill", c.inspect("{{.State.Pid}}"))
}

func (c *container) inspect(format string) string {
	GinkgoHelper()
	return docker("inspect", "--type", "container", "--format", format, c.id)
}

// exit waits for the end and returns the exit status.
func (c *container) exit() string {
	GinkgoHelper()
	return docker("wait", c.id)
}

// log is what handover and the service said, on the container's terminal.
func (c *container) log() string {
	text, _ := tryDocker("logs", c.id)
	return strings.ReplaceAll(text, "\r\n", "\n")
}

// logged waits until the log has a text for the nth time, counted from 1, and
// returns the time of that line.
func (c *container) logged(text string, n int) time.Time {
	GinkgoHelper()
	var lines []string
	Eventually(func() int {
		lines = slices.DeleteFunc(strings.Split(c.log(), "\n"), func(line string) bool { return !strings.Contains(line, text) })
		return len(lines)
	}, patience, 50*time.Millisecond).Should(BeNumerically(">=", n), "%s in the log of %s", text, c.name)
	stamp, _, _ := strings.Cut(strings.TrimPrefix(lines[n-1], "time="), " ")
	t, err := time.Parse(time.RFC3339Nano, stamp)
	Expect(err).NotTo(HaveOccurred(), lines[n-1])
	return t
}

// status asks in the container; the zero Status if it does not run. One that runs
// answers sooner or later: that it does not at once tells nothing, so it is asked
// again.
func (c *container) status() controller.Status {
	for asked := time.Now(); ; {
		var st controller.Status
		text, err := tryDocker("exec", c.id, "/usr/bin/handover", "status", "--json")
		if err == nil && json.Unmarshal([]byte(text), &st) == nil {
			return st
		}
		runs, _ := tryDocker("inspect", "--type", "container", "--format", "{{.State.Running}}", c.id)
		if runs != "true" || time.Since(asked) > patience {
			return controller.Status{}
		}
	}
}

func (c *container) phase() string { return c.status().Phase }

// until waits for a phase.
func (c *container) until(phase string) {
	GinkgoHelper()
	Eventually(c.phase, patience, 50*time.Millisecond).Should(Equal(phase), "container %s\n%s", c.name, c.log)
}

// took reports how long something took, and that it was not too long.
func took(what string, from, to time.Time) {
	GinkgoHelper()
	AddReportEntry(what, to.Sub(from).Round(time.Millisecond).String())
	Expect(to.Sub(from)).To(BeNumerically("<", soon), what)
}
