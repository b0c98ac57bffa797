package peer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
	"github.com/handover-controller/handover/peer"
)

// suite is the test that runs the specs: bubbles are its subtests.
var suite *testing.T

var ran atomic.Bool

func TestPeer(t *testing.T) {
	if ran.Swap(true) {
		t.Skip("Ginkgo runs a suite once per process; use ginkgo --repeat instead of -count")
	}
	suite = t
	SetDefaultEventuallyTimeout(10 * time.Second)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	RegisterFailHandler(Fail)
	RunSpecs(t, "peer")
}

// opened are the nodes of the present bubble. Specs close them themselves; a
// failed one leaves that to its bubble.
var opened []*peer.Node

// bubble runs the body in virtual time. It waits until all goroutines started
// in it have ended: whatever leaks one is found as a deadlock.
func bubble(body func()) {
	suite.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			opened = nil
			defer func() {
				for _, n := range opened {
					_ = n.Close(context.Background())
				}
			}()
			defer GinkgoRecover()
			body()
		})
	})
}

// checkLeaks fails the spec if it leaves goroutines behind.
func checkLeaks() {
	before := gleak.Goroutines()
	DeferCleanup(func() {
		Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before))
	})
}
