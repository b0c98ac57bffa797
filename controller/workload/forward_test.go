package workload_test

import (
	"os"
	"os/signal"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller/workload"
)

type recorder chan syscall.Signal

func (r recorder) Signal(s syscall.Signal) error { r <- s; return nil }

var _ = Describe("Forwarding signals", func() {
	It("leaves out those that are not meant for the workload", func() {
		for _, s := range []syscall.Signal{
			syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGTTIN, syscall.SIGTTOU,
			syscall.SIGPIPE, syscall.SIGPROF, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL,
			syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGKILL, syscall.SIGSTOP,
		} {
			Expect(workload.ForwardedSignals()).NotTo(ContainElement(s))
		}
	})

	It("leaves out those that are ignored", func() {
		signal.Ignore(syscall.SIGPWR, syscall.SIGTSTP)
		DeferCleanup(func() {
			// Only a subscription undoes it.
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGPWR, syscall.SIGTSTP)
			signal.Stop(c)
		})
		Expect(workload.ForwardedSignals()).NotTo(ContainElements(syscall.SIGPWR))
		Expect(workload.ForwardedSignals()).NotTo(ContainElements(syscall.SIGTSTP))
		Expect(workload.ForwardedSignals()).To(ContainElement(syscall.SIGUSR1))
	})

	It("passes each one on", func() {
		got := make(recorder, 100)
		f := workload.NewForwarder(got)
		DeferCleanup(f.Close)
		signals := workload.ForwardedSignals()
		Expect(len(signals)).To(BeNumerically(">", 30))
		for _, s := range signals {
			if s == syscall.SIGUSR1 {
				continue // Ginkgo takes it too, and prints a report
			}
			Expect(syscall.Kill(os.Getpid(), s.(syscall.Signal))).To(Succeed())
			Eventually(got).Should(Receive(Equal(s)))
		}
		Expect(signals).To(ContainElements(syscall.SIGSTKFLT, syscall.SIGIO, syscall.SIGPWR, syscall.Signal(35), syscall.Signal(64)))
		for _, s := range []syscall.Signal{
			syscall.SIGPIPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS,
		} {
			Expect(syscall.Kill(os.Getpid(), s)).To(Succeed())
		}
		Consistently(got, "20ms").ShouldNot(Receive())
		f.Close()
	})

	It("survives a workload that does not run", func() {
		w := create(workload.Options{Argv: self("trap", "12")})
		f := workload.NewForwarder(w)
		DeferCleanup(f.Close)
		Expect(syscall.Kill(os.Getpid(), syscall.SIGUSR2)).To(Succeed())
		Expect(w.Start()).To(Succeed())
		Eventually(func() bool {
			_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
			return ended(w)()
		}).Should(BeTrue())
	})
})
