package run_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("As process 1 of a PID namespace", func() {
	// asInit starts the program as process 1, around a shell script.
	asInit := func(script string, extra ...string) *instance {
		GinkgoHelper()
		if os.Geteuid() != 0 {
			Skip("only root can make a PID namespace; run this suite as root as well")
		}
		if _, err := exec.LookPath("unshare"); err != nil {
			Skip("unshare is missing; install util-linux")
		}
		i := newRig().container("a")
		i.rig.supervisor.list(i.id(), "Running", i.rig.created)
		return i.startAs([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", binary},
			append([]string{"HANDOVER_READINESS_AFTER=0s"}, extra...), "sh", "-c", script)
	}

	It("reaps 1,000 orphans and loses no exit status", onDevice, func() {
		i := asInit(`
			n=0; while [ $n -lt 1000 ]; do (true &); n=$((n+1)); done
			n=0; while [ $n -lt 100 ]; do (exit $n); [ $? = $n ] || exit 1; n=$((n+1)); done
			n=0
			while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do
				n=$((n+1)); [ $n -lt 1000 ] || { echo "zombies are left"; exit 2; }; sleep 0.05
			done
			exit 42`)
		Expect(i.exit(patience)).To(Equal(42), i.out.String())
	})

	It("holds and drains on SIGTERM like any other", func() {
		i := asInit(`trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done`)
		i.until("serving", patience)
		Eventually(i.out.String, patience).Should(ContainSubstring("up"))
		code, text := i.handover("probe")
		Expect(code).To(BeZero(), text)
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", i.cmd.Process.Pid))
		Expect(err).NotTo(HaveOccurred())
		init, err := strconv.Atoi(strings.TrimSpace(string(children))) // process 1 as seen from here
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(init, syscall.SIGTERM)).To(Succeed())
		Expect(i.exit(patience)).To(Equal(5))
		Expect(i.out.String()).To(ContainSubstring("bye"))
	})
})
