// Package explorer_test explores hand-overs at random: any number of instances
// of the real controller, a simulated Supervisor, networks, folders and
// workloads that fail in every way, all on virtual time. A seed decides
// everything, and invariants are checked at every step. README.md says which,
// how to run more seeds, and what is not covered.
package explorer_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// suite is the real *testing.T: bubbles need one.
var suite *testing.T

func TestExplorer(t *testing.T) {
	// On one processor what is told again is told in the same order.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	suite = t
	switch {
	case os.Getenv("EXPLORE_SLICE") != "":
		exploreSlice(t, os.Getenv("EXPLORE_SLICE"))
		return
	case os.Getenv("EXPLORE") != "":
		explore(t, os.Getenv("EXPLORE"))
		return
	}
	RegisterFailHandler(Fail)
	RunSpecs(t, "Explorer of hand-overs")
}

// bubble runs a function that tells stories in bubbles.
func bubble(name string, f func(t *testing.T)) {
	GinkgoHelper()
	Expect(suite.Run(name, f)).To(BeTrue())
}

var _ = Describe("Instances in any trouble", func() {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 300
	}

	It(fmt.Sprintf("keep the invariants in %d random stories", seeds), func() {
		var failing []string
		bubble("random", func(t *testing.T) {
			for seed := range seeds {
				p := generate(seed)
				if o := tell(t, &p, false); len(o.wrong) > 0 && len(failing) < 3 {
					failing = append(failing, report(&p, retell(t, &p, o)))
				}
			}
		})
		if len(failing) > 0 {
			Fail(strings.Join(failing, "\n\n"))
		}
	})

	It("do the same when a story is told again", func() {
		if built.Race {
			Skip("the race detector starts goroutines in another order on purpose")
		}
		const stories = 40
		same := 0
		bubble("again", func(t *testing.T) {
			for seed := range uint64(stories) {
				p := generate(seed)
				text := p.String()
				again, err := parse(text)
				if err != nil || again.String() != text {
					t.Errorf("seed %d: the plan is not read as it was written: %v", seed, err)
				}
				if tell(t, &p, false).mark == tell(t, &again, true).mark {
					same++
				}
			}
		})
		// What happens at the very same nanosecond is in no order.
		Expect(same).To(BeNumerically(">=", stories*9/10))
	})
})
