// Package stories_test tells whole hand-overs of two and three instances, in
// virtual time: the real controllers and nodes, an in-memory network, a
// Supervisor that does as it is told, workloads that are only timers.
package stories_test

import (
	"log/slog"
	"os"
	"testing"
	"testing/synctest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// suite is the real *testing.T: bubbles need one.
var suite *testing.T

func TestStories(t *testing.T) {
	suite = t
	RegisterFailHandler(Fail)
	RunSpecs(t, "Stories of two and three instances")
}

// story tells one story in a bubble of virtual time. What is left running when
// it is over is ended.
func story(text string, tell func(d *device)) {
	It(text, func() {
		virtually(text, func() {
			d := newDevice()
			defer d.end()
			tell(d)
		})
	})
}

// virtually runs a function in a bubble of virtual time.
func virtually(name string, f func()) {
	ok := suite.Run(name, func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			defer GinkgoRecover()
			f()
		})
	})
	Expect(ok).To(BeTrue())
}

// logger writes to the story's report, or nowhere.
func logger(name string) *slog.Logger {
	if os.Getenv("STORIES_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(GinkgoWriter, nil)).With("container", name)
}
