package demo_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/handover-controller/handover/cmd/handover/demo"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// suite is the real testing.T, which bubbles of virtual time need.
var suite *testing.T

func TestMain(m *testing.M) {
	if os.Getenv("DEMO_TEST_ROLE") == "service" {
		// Not os.Exit: with the race detector that takes a second.
		syscall.Exit(demo.Service(context.Background(), os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	suite = t
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	RunSpecs(t, "Demo")
}

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before)) })
})

// inBubble runs a spec in virtual time.
func inBubble(text string, spec func()) {
	It(text, func() {
		ok := suite.Run(text, func(t *testing.T) {
			synctest.Test(t, func(*testing.T) {
				defer GinkgoRecover()
				spec()
			})
		})
		Expect(ok).To(BeTrue())
	})
}
