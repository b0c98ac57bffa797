package hostile_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Another user of the shared folder", func() {
	// folder is one of the rig's that belongs to root, and what instances need to
	// hear each other there alone.
	folder := func(r *rig, mode os.FileMode) (path string, settings []string) {
		GinkgoHelper()
		Expect(os.Chmod(r.dir, 0o755)).To(Succeed())
		path = filepath.Join(r.dir, "shared")
		Expect(os.Mkdir(path, 0o755)).To(Succeed())
		Expect(os.Chmod(path, mode)).To(Succeed())
		return path, []string{"HANDOVER_ANNOUNCE_FOLDER=" + path, "HANDOVER_NETWORK_INTERFACE=none0"}
	}

	It("renames files as fast as it can, and no hand-over waits for that", func() {
		r := newRig()
		path, settings := folder(r, 0o777)
		old := r.container("a").serve(settings...)
		old.ready()
		old.until("serving", patience)

		quit, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			last := filepath.Join(path, "first")
			_ = os.WriteFile(last, []byte("storm"), 0o644)
			for {
				select {
				case <-quit:
					return
				default:
				}
				id := make([]byte, 16)
				for i := range id {
					id[i] = byte(rand.IntN(256))
				}
				next := filepath.Join(path, ".handover-"+hex.EncodeToString(id)+".ann")
				if os.Rename(last, next) == nil {
					last = next
				}
			}
		}()
		DeferCleanup(func() { close(quit); <-ended })

		next := r.container("b").serve(settings...)
		next.until("starting", patience)
		// It is found among all the others: at the latest when the whole folder is looked through.
		Eventually(func() int { return len(old.status().Peers) }, patience).Should(Equal(1))
		ready := time.Now()
		next.ready()
		old.until("released", patience)
		took := old.logged("stop signal").Sub(ready)
		AddReportEntry("ready to stop signal", took.String())
		Expect(took).To(BeNumerically("<", 5*time.Second), "0.2 s, and the time that this machine is busy with the storm")
		Eventually(r.marker(), patience).Should(BeAnExistingFile())
	})

	It("holds no lock if it may only read there", func() {
		if os.Geteuid() != 0 {
			Skip("starting a process of another user takes root")
		}
		r := newRig()
		path, settings := folder(r, 0o755)
		i := r.container("a").serve(append(settings, "HANDOVER_POLICY_EXCLUSIVE=true")...)
		i.ready()
		i.until("serving", patience)
		locks, err := filepath.Glob(filepath.Join(path, ".handover-*.lock"))
		Expect(err).NotTo(HaveOccurred())
		Expect(locks).To(HaveLen(1))
		for _, lock := range append(locks, filepath.Join(path, "owner")) {
			other := exec.Command("/bin/cat", lock)
			other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			said, err := other.CombinedOutput()
			Expect(err).To(HaveOccurred(), lock)
			Expect(strings.ToLower(string(said))).To(ContainSubstring("permission denied"), fmt.Sprint(lock, ": only an open file can be locked"))
		}
	})
})
