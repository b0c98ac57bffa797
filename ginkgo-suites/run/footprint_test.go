package run_test

import (
	"fmt"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
)

var _ = Describe("The memory of an idle instance", func() {
	It("is given back as far as only the start needed it", func() {
		if built.Race {
			Skip("the race detector takes more than the program")
		}
		r := newRig()
		a := r.container("a").serve(0)
		a.until("serving", patience)
		kib := func() (resident int) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
			Expect(err).NotTo(HaveOccurred())
			_, line, _ := strings.Cut(string(status), "VmRSS:")
			Expect(fmt.Sscan(line, &resident)).To(Equal(1))
			return resident
		}
		Eventually(kib, patience).Should(BeNumerically("<", 10_000))
		By("it goes on with its work")
		b := r.container("b").serve(0)
		b.until("serving", patience)
		a.until("released", patience)
	})
})
