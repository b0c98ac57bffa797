package workload_test

import (
	"regexp"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("On a terminal", func() {
	lines := func(t *terminal, prefix string) []string {
		var found []string
		for line := range strings.Lines(t.text()) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, prefix) {
				found = append(found, line)
			}
		}
		return found
	}

	DescribeTable("the workload reads, is interrupted, and learns the window's size",
		func(l launch) {
			l.terminal = newTerminal()
			h := l.host(settings{Argv: self("child", "terminal")})
			Eventually(l.terminal.text).Should(ContainSubstring("up"))
			l.terminal.enter("hello\n")
			Eventually(l.terminal.text).Should(ContainSubstring("line hello"))
			l.terminal.resize(40, 120)
			Eventually(l.terminal.text).Should(ContainSubstring("size 40 120"))
			l.terminal.enter("\x03")
			Eventually(l.terminal.text).Should(ContainSubstring("signal interrupt"))
			l.terminal.enter("\x1c")
			Eventually(l.terminal.text).Should(ContainSubstring("signal quit"))
			l.terminal.enter("still there\n")
			Eventually(l.terminal.text).Should(ContainSubstring("line still there"))
			_, own := h.report()
			Expect(own).To(BeEmpty(), "none of these is for the host")
			Expect(strings.Count(l.terminal.text(), "signal interrupt")).To(Equal(1))
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(BeZero())
		}, both)

	DescribeTable("a workload that reads at once is not left stopped, again and again",
		func(l launch) {
			l.terminal = newTerminal()
			h := l.host(settings{Argv: []string{"sh", "-c", "read line; echo got-$line"}, Runs: 20, Stay: true})
			for range 20 {
				l.terminal.enter("x\n")
			}
			Eventually(func() []string { return lines(l.terminal, "got-x") }).Should(HaveLen(20))
			Eventually(func() bool { return h.state().Run == 20 && h.ended() }).Should(BeTrue())
			h.signal(syscall.SIGTERM)
			Expect(h.exit()).To(BeZero())
		}, both)

	DescribeTable("no command inherits that we ignore SIGTTOU, and in the end the terminal is ours again",
		func(l launch) {
			l.terminal = newTerminal()
			h := l.host(settings{
				Argv:    []string{"sh", "-c", "grep SigIgn /proc/self/status; read line"},
				PreStop: []string{"sh", "-c", "grep SigIgn /proc/self/status; echo pre-stop"},
				Runs:    3, Stay: true,
			})
			l.terminal.enter("x\nx\n")
			Eventually(func() int { return h.state().Run }).Should(Equal(3))
			Eventually(func() []string { return lines(l.terminal, "SigIgn") }).Should(HaveLen(3))
			h.signal(syscall.SIGTERM)
			Eventually(h.ended).Should(BeTrue())
			Eventually(func() []string { return lines(l.terminal, "SigIgn") }).Should(HaveLen(4))
			for _, line := range lines(l.terminal, "SigIgn") {
				Expect(line).To(MatchRegexp(`^SigIgn:\s+0+$`))
			}
			// The terminal is back: Ctrl-C is for the host.
			l.terminal.enter("\x03")
			Expect(h.exit()).To(Equal(143))
			_, own := h.report()
			Expect(own).To(Equal([]string{"terminated", "interrupt"}))
		}, both)

	It("Ctrl-Z is nothing to process 1", func() {
		l := launch{namespace: true, terminal: newTerminal()}
		l.host(settings{Argv: self("child", "terminal")})
		Eventually(l.terminal.text).Should(ContainSubstring("up"))
		l.terminal.enter("\x1a")
		l.terminal.enter("hello\n")
		Eventually(l.terminal.text).Should(ContainSubstring("line hello"))
	})

	It("Ctrl-Z stops the job of a shell, which can continue it in both ways", func() {
		t := newTerminal()
		shell := launch{terminal: t, prelude: "export ENV= PS1='ready-for-more '"}
		shell.run("sh", "-i")
		Eventually(t.text).Should(ContainSubstring("ready-for-more"))
		s := settings{Argv: self("child", "terminal"), Events: GinkgoT().TempDir() + "/events", KillAfter: 20e9}
		t.enter(strings.Join(quoted(self("host", encoded(s))), " ") + "\n")
		Eventually(t.text).Should(ContainSubstring("up"))
		stopped := regexp.MustCompile(`\^Z\s*\[1\] \+ Stopped`)
		for n := 1; n <= 3; n++ {
			t.enter("\x1a")
			Eventually(func() int { return len(stopped.FindAllString(t.text(), -1)) }).Should(Equal(n), "stopped")
			t.enter("echo shell-$((1000+" + string(rune('0'+n)) + "))\n")
			Eventually(t.text).Should(ContainSubstring("shell-100" + string(rune('0'+n))))
			if n == 2 {
				// Continued in the background, then brought to the front.
				t.enter("bg\n")
				Eventually(t.text).Should(ContainSubstring("ready-for-more"))
			}
			t.enter("fg\n")
			t.enter("back" + string(rune('0'+n)) + "\n")
			Eventually(t.text).Should(ContainSubstring("line back" + string(rune('0'+n))))
		}
		t.enter("\x03")
		Eventually(t.text).Should(ContainSubstring("signal interrupt"))
	})

	It("job control works for a workload that reads in the background", func() {
		t := newTerminal()
		launch{terminal: t, prelude: "export ENV= PS1='ready-for-more '"}.run("sh", "-i")
		Eventually(t.text).Should(ContainSubstring("ready-for-more"))
		s := settings{
			Argv: []string{"sh", "-c", "read line; echo got-$line"}, Events: GinkgoT().TempDir() + "/events", KillAfter: 20e9,
		}
		t.enter(strings.Join(quoted(self("host", encoded(s))), " ") + " &\n")
		// It wants to read, so it is stopped, as any job of the shell.
		Eventually(func() int {
			t.enter("jobs\n")
			return strings.Count(t.text(), "Stopped")
		}).WithPolling(100 * time.Millisecond).Should(BeNumerically(">", 0))
		t.enter("fg\n")
		t.enter("x\n")
		Eventually(t.text).Should(ContainSubstring("got-x"))
	})
})
