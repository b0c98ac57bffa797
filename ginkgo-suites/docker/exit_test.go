package docker_test

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The exit status", func() {
	It("is the workload's own, as docker inspect shows it", func() {
		d := newDevice()
		run := func(name string, command ...string) *container {
			return d.start(name, shape{Flags: []string{"--restart", "no"}, Command: command})
		}
		for c, status := range map[*container]int{
			run("ends", "/usr/bin/inside", "exit", "3"): 3,
			run("is-killed", "/usr/bin/inside", "die"):  128 + 9,
			run("is-not-there", "/usr/bin/nothing"):     127,
			run("is-a-folder", "/tmp"):                  126,
		} {
			Expect(c.exit()).To(Equal(strconv.Itoa(status)), c.name)
			Expect(c.inspect("{{.State.Status}} {{.State.ExitCode}}")).To(Equal(fmt.Sprint("exited ", status)), c.name)
		}
	})

	It("makes the engine start the container again", func() {
		d := newDevice()
		c := d.start("a", shape{Command: []string{"/usr/bin/inside", "exit", "3"}})
		Eventually(func() int { return len(d.of(c, "start")) }, patience, 10*time.Millisecond).Should(BeNumerically(">=", 3))
		Expect(d.of(c, "die")).To(HaveEach(HaveField("Actor.Attributes", HaveKeyWithValue("exitCode", "3"))))
	})
})
