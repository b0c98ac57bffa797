package controller_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller"
)

var _ = Describe("The status socket", func() {
	listen := func(path string) net.Listener {
		GinkgoHelper()
		l, err := ListenSocket(path)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = l.Close() })
		return l
	}

	It("is opened where it is wanted, for everybody", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		Expect(listen(path).Addr().String()).To(Equal(path))
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o666))
	})

	It("replaces a leftover", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		Expect(err).NotTo(HaveOccurred())
		dead.SetUnlinkOnClose(false)
		Expect(dead.Close()).To(Succeed())
		Expect(path).To(BeAnExistingFile())
		listen(path)
	})

	It("leaves one alone on which somebody answers", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		listen(path)
		_, err := ListenSocket(path)
		Expect(err).To(MatchError(ErrSocketInUse))
	})

	It("leaves a file alone that is no socket", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		Expect(os.WriteFile(path, []byte("precious"), 0o600)).To(Succeed())
		_, err := ListenSocket(path)
		Expect(err).To(MatchError(ContainSubstring("is no socket")))
		Expect(os.ReadFile(path)).To(BeEquivalentTo("precious"))
	})

	It("goes to /dev/shm where its folder is missing or not writable", func() {
		name := fmt.Sprintf("handover-test-%d.sock", os.Getpid())
		path := filepath.Join(GinkgoT().TempDir(), "missing", name)
		Expect(SocketPaths(path)).To(Equal([]string{path, "/dev/shm/" + name}))
		Expect(listen(path).Addr().String()).To(Equal("/dev/shm/" + name))
	})
})
