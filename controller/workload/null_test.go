package workload

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("An init that wants to be process 1",
	func(command string, code int, ran time.Duration, want bool) {
		Expect(wantsToBeInit(command, code, ran)).To(Equal(want))
	},
	Entry("of s6-overlay", "/init", 100, 10*time.Millisecond, true),
	Entry("with an ending", "/usr/lib/init.sh", 1, time.Second, true),
	Entry("of phusion/baseimage", "/sbin/my_init", 1, time.Second, true),
	Entry("of systemd", "/lib/systemd/systemd", 1, time.Second, true),
	Entry("that succeeded", "/init", 0, time.Millisecond, false),
	Entry("that ran for a while", "/init", 1, time.Minute, false),
	Entry("that is none", "node", 1, time.Millisecond, false),
	Entry("that only begins like one", "initialize", 1, time.Millisecond, false),
)

var _ = DescribeTable("A command that the limits keep from starting",
	func(err error, hint string) {
		var e *StartError
		Expect(errors.As(startError("sh", "", nil, fmt.Errorf("fork: %w", err)), &e)).To(BeTrue())
		Expect(e.ExitCode).To(Equal(126))
		Expect(e.Error()).To(ContainSubstring(hint))
	},
	Entry("of processes", syscall.EAGAIN, "as many processes as may be"),
	Entry("of open files", syscall.EMFILE, "as many open files as may be"),
	Entry("of memory", syscall.ENOMEM, "no memory left"),
)
