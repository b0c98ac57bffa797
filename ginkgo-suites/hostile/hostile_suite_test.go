// Package hostile_test throws everything at the real program that a hostile
// neighbour on the network can: datagrams of all kinds, forged ones, floods,
// thousands of connections. Other users of the container take the place of its
// status socket.
// Every spec has a multicast group and ports of its own, on loopback.
package hostile_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
	_ "github.com/handover-controller/handover/ginkgo-suites/skipped"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	switch os.Getenv("HOSTILE_SUITE_ROLE") {
	case "serve":
		os.Exit(serve())
	case "crowd":
		os.Exit(crowd())
	case "impostor":
		os.Exit(impostor())
	}
	os.Exit(m.Run())
}

func TestHostile(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "hostile input")
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "handover-hostile-suite")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	path, err := built.Handover(dir)
	Expect(err).NotTo(HaveOccurred())
	return []byte(path)
}, func(path []byte) {
	program = string(path)
})
