package endpoint_test

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// suite is the test of this suite: what runs on virtual time needs it.
var suite *testing.T

func TestMain(m *testing.M) {
	if role := os.Getenv("ENDPOINT_TEST_ROLE"); role != "" {
		if uid, _ := strconv.Atoi(os.Getenv("ENDPOINT_TEST_USER")); uid != 0 {
			if err := syscall.Setuid(uid); err != nil {
				panic(err)
			}
		}
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

func TestEndpoint(t *testing.T) {
	suite = t
	RegisterFailHandler(Fail)
	RunSpecs(t, "Endpoint")
}
