package decide_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

func TestDecide(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Decide")
}
