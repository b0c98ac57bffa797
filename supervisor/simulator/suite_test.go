package simulator_test

import (
	"testing"
	"testing/synctest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// suite is the suite's own T: synctest needs a real one.
var suite *testing.T

func TestSimulator(t *testing.T) {
	suite = t
	RegisterFailHandler(Fail)
	RunSpecs(t, "Simulated Supervisor")
}

// virtually runs a function on virtual time.
func virtually(name string, f func()) {
	GinkgoHelper()
	ok := suite.Run(name, func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			defer GinkgoRecover()
			f()
		})
	})
	Expect(ok).To(BeTrue())
}

// seeds is how many runs are made of everything that has chance in it.
func seeds() uint64 {
	if testing.Short() {
		return 1
	}
	return 3
}
