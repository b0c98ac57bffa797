package peer_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

const (
	sampleContainer = "c0b32e9d619f4f5c5a27b1f5cf58a9fb6a53e9d0a3c2b7f0d41cd3b8a5e4e6f1"
	sampleBoot      = "6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3"
	// sampleStart is field 22 of the samples' /proc/self/stat.
	sampleStart = 9_378_400 * 10 * time.Millisecond
)

// at returns options for one of the sample file systems: the process started
// an hour ago, by either clock.
func at(name string) peer.IdentifyOptions {
	return peer.IdentifyOptions{
		Root:      filepath.Join("testdata", "identity", name),
		Now:       func() time.Time { return time.UnixMilli(1665000000123).Add(time.Hour) },
		BootClock: func() (time.Duration, error) { return sampleStart + time.Hour, nil },
	}
}

// copied returns options for a copy of a sample file system, with files
// replaced, or removed if empty.
func copied(name string, files map[string]string) peer.IdentifyOptions {
	GinkgoHelper()
	o := at(name)
	root := GinkgoT().TempDir()
	Expect(os.CopyFS(root, os.DirFS(o.Root))).To(Succeed())
	for path, text := range files {
		path = filepath.Join(root, path)
		if text == "" {
			Expect(os.Remove(path)).To(Succeed())
			continue
		}
		Expect(os.WriteFile(path, []byte(text), 0o644)).To(Succeed())
	}
	o.Root = root
	return o
}

var _ = Describe("Identify", func() {
	DescribeTable("finds this instance's container on",
		func(name, source string) {
			self := peer.Identify(at(name))
			Expect(self.Warnings).To(BeEmpty())
			Expect(self.Container).To(BeEquivalentTo(sampleContainer[:12]))
			Expect(self.ContainerSource).To(Equal(source))
			Expect(self.BootID).To(Equal(sampleBoot))
		},
		Entry("Docker with cgroup version 2", "docker-cgroup2", "mountinfo"),
		Entry("Docker with cgroup version 1", "docker-cgroup1", "mountinfo"),
		Entry("balenaOS", "balena", "mountinfo"),
		Entry("Docker, with the engine's data mounted too", "docker-with-engine-data", "mountinfo"),
		Entry("Docker in Docker", "docker-in-docker", "mountinfo"),
		Entry("nerdctl", "nerdctl", "mountinfo"),
		Entry("podman", "podman", "mountinfo"),
		Entry("Kubernetes with cgroup version 1", "cri-containerd-cgroup1", "mountinfo"),
		Entry("Kubernetes with cgroup version 2 and the host's cgroup namespace", "cri-containerd-systemd", "mountinfo"),
		Entry("Kubernetes with cgroup version 2: the pod's", "cri-containerd-cgroup2", "mountinfo"),
		Entry("an engine that only cgroup shows, nested", "cgroup-only", "cgroup"),
		Entry("an engine that only cgroup shows, by systemd", "cgroup-systemd", "cgroup"),
		Entry("an engine that only cgroup shows, by slice", "cgroup-slice", "cgroup"),
		Entry("an engine that only the host name shows", "hostname-only", "hostname"),
	)

	DescribeTable("warns of a time namespace that shifts the boot clock", func(offsets string, warns bool) {
		o := at("docker-cgroup2")
		root := GinkgoT().TempDir()
		Expect(os.CopyFS(root, os.DirFS(o.Root))).To(Succeed())
		o.Root = root
		Expect(os.WriteFile(filepath.Join(root, "proc/self/timens_offsets"), []byte(offsets), 0o644)).To(Succeed())
		self := peer.Identify(o)
		if !warns {
			Expect(self.Warnings).To(BeEmpty())
			return
		}
		Expect(self.Warnings).To(ConsistOf(MatchError(And(
			ContainSubstring("shifts the clock CLOCK_BOOTTIME of this process by -24h0m0.5s"), ContainSubstring("do not hear"), ContainSubstring("unshare -T")))))
	},
		Entry("none", "monotonic           0         0\nboottime            0         0\n", false),
		Entry("of another clock", "monotonic      -86400         0\nboottime            0         0\n", false),
		Entry("a day back", "monotonic           0         0\nboottime       -86401 500000000\n", true),
		Entry("nothing that can be read", "boottime\n", false),
	)

	It("prefers the configured id, and does without a wrong one", func() {
		o := at("docker-cgroup2")
		o.ContainerID = "ABCDEF012345" + sampleContainer[12:]
		self := peer.Identify(o)
		Expect(self.Container).To(BeEquivalentTo("abcdef012345"))
		Expect(self.ContainerSource).To(Equal("config"))
		o.ContainerID = "main"
		self = peer.Identify(o)
		Expect(self.Container).To(BeEquivalentTo(sampleContainer[:12]))
		Expect(self.Warnings).To(ConsistOf(MatchError(ContainSubstring(`container id "main"`))))
	})

	It("without a container takes the start of the process for the first one, warns, and keeps no record", func() {
		o := at("no-container")
		o.StateDir = GinkgoT().TempDir()
		for range 2 {
			self := peer.Identify(o)
			Expect(self.Container).To(BeEmpty())
			Expect(self.Restarted).To(BeFalse())
			Expect(self.FirstStart).To(Equal(peer.FirstStart{Boot: peer.BootHash(sampleBoot), Since: sampleStart}))
			Expect(self.StartMilli).To(Equal(int64(1665000000123)))
			Expect(self.Warnings).To(ConsistOf(MatchError(And(
				ContainSubstring("service.container_id"), ContainSubstring("whose process was started last is the youngest")))))
			Expect(os.ReadDir(o.StateDir)).To(BeEmpty())
		}
		o.StateDir = ""
		Expect(peer.Identify(o).FirstStart.Known()).To(BeTrue())
	})

	DescribeTable("without a container says that no hand-over will happen where there is no",
		func(path string) {
			self := peer.Identify(copied("no-container", map[string]string{path: ""}))
			Expect(self.FirstStart.Known()).To(BeFalse())
			Expect(self.Warnings).To(ContainElement(MatchError(ContainSubstring("no hand-over will happen"))))
		},
		Entry("start", "proc/self/stat"), Entry("boot id", "proc/sys/kernel/random/boot_id"),
	)

	It("without a /proc warns of everything, and succeeds", func() {
		o := peer.IdentifyOptions{Root: GinkgoT().TempDir(), StateDir: GinkgoT().TempDir()}
		self := peer.Identify(o)
		Expect(self.Warnings).To(HaveLen(4))
		Expect(self.Instance).NotTo(BeZero())
		Expect(self.StartMilli).To(BeNumerically("~", time.Now().UnixMilli(), 60_000))
	})

	It("on this very machine finds the boot id and the start", func() {
		self := peer.Identify(peer.IdentifyOptions{})
		Expect(self.BootID).To(HaveLen(36))
		Expect(self.FirstSequence).NotTo(BeZero())
		Expect(self.StartMilli).To(BeNumerically("<=", time.Now().UnixMilli()))
		Expect(self.StartMilli).To(BeNumerically(">", time.Now().Add(-time.Hour).UnixMilli()))
		again := peer.Identify(peer.IdentifyOptions{})
		Expect(again.Instance).NotTo(Equal(self.Instance))
		Expect(again.FirstSequence).To(BeNumerically(">", self.FirstSequence))
		Expect(again.StartMilli).To(BeNumerically("~", self.StartMilli, 20))
	})

	DescribeTable("with a strange",
		func(path, text, warning string) {
			o := copied("docker-cgroup2", map[string]string{path: text})
			o.StateDir = GinkgoT().TempDir()
			self := peer.Identify(o)
			Expect(self.Warnings).To(ContainElement(MatchError(ContainSubstring(warning))))
			Expect(self.FirstStart.Known()).To(BeFalse())
			Expect(peer.Identify(o).FirstStart.Known()).To(BeFalse(), "nor is it later")
		},
		Entry("boot id", "proc/sys/kernel/random/boot_id", "hello\n", "not a UUID"),
		Entry("boot id in capitals", "proc/sys/kernel/random/boot_id", "6C0F5B1E-3A52-4D6C-9D1F-0A4BE21C77D3\n", "not a UUID"),
		Entry("missing boot id", "proc/sys/kernel/random/boot_id", "", "no such file"),
		Entry("stat", "proc/self/stat", "1 (sh) S 0", "fields"),
		Entry("stat without a name", "proc/self/stat", "1 sh S 0", "no command name"),
		Entry("start", "proc/self/stat", "1 (x) S"+fmt.Sprintf("%18s", "")+" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 -5 0", "not a number"),
		Entry("start far too late", "proc/self/stat", "1 (x) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9223372036854775807", "not a number"),
		Entry("missing stat", "proc/self/stat", "", "no such file"),
	)

	DescribeTable("finds the start behind a command named",
		func(name string) {
			text := "1 (" + name + ") S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 9 0 9378400 1 2 3\n"
			o := copied("docker-cgroup2", map[string]string{"proc/self/stat": text})
			o.StateDir = GinkgoT().TempDir()
			Expect(peer.Identify(o).FirstStart.Since).To(Equal(sampleStart))
		},
		Entry(nil, "handover"), Entry(nil, "a b"), Entry(nil, ") S 1 2 ("), Entry(nil, ""), Entry(nil, "((("), Entry(nil, "x)\n)"),
	)
})

var _ = Describe("The record of a first start", func() {
	var (
		o    peer.IdentifyOptions
		path string
	)
	BeforeEach(func() {
		o = at("docker-cgroup2")
		o.StateDir = filepath.Join(GinkgoT().TempDir(), "a", "b")
		path = filepath.Join(o.StateDir, sampleContainer[:12]+".json")
	})
	first := peer.FirstStart{Boot: peer.BootHash(sampleBoot), Since: sampleStart}

	// restart returns options for a later process of the same container.
	restart := func() peer.IdentifyOptions {
		later := copied("docker-cgroup2", map[string]string{
			"proc/self/stat": "1 (x) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 9 0 9999999 1 2 3\n",
		})
		later.StateDir = o.StateDir
		later.Now = func() time.Time { return time.UnixMilli(5) } // a clock that jumped
		return later
	}

	It("is written at the first start, and read at later ones", func() {
		self := peer.Identify(o)
		Expect(self.Warnings).To(BeEmpty())
		Expect(self.Restarted).To(BeFalse())
		Expect(self.FirstStart).To(Equal(first))
		Expect(self.StartMilli).To(Equal(int64(1665000000123)))

		self = peer.Identify(restart())
		Expect(self.Warnings).To(BeEmpty())
		Expect(self.Restarted).To(BeTrue())
		Expect(self.FirstStart).To(Equal(first))
		Expect(self.StartMilli).To(Equal(int64(1665000000123)))
		Expect(os.ReadDir(o.StateDir)).To(HaveLen(1), "no temporary files are left")
	})

	It("keeps the boot that it was written in", func() {
		peer.Identify(o)
		later := copied("docker-cgroup2", map[string]string{
			"proc/self/stat":                 "1 (x) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 9 0 700 1 2 3\n",
			"proc/sys/kernel/random/boot_id": "00000000-1111-4222-8333-444444444444\n",
		})
		later.StateDir = o.StateDir
		self := peer.Identify(later)
		Expect(self.Warnings).To(BeEmpty())
		Expect(self.FirstStart).To(Equal(first))
	})

	It("of another container is another file", func() {
		peer.Identify(o)
		o.ContainerID = "0123456789ab"
		self := peer.Identify(o)
		Expect(self.Restarted).To(BeFalse())
		Expect(os.ReadDir(o.StateDir)).To(HaveLen(2))
	})

	It("is not kept without a state dir", func() {
		o.StateDir = ""
		self := peer.Identify(o)
		Expect(self.Warnings).To(BeEmpty())
		Expect(self.FirstStart.Known() || self.Restarted).To(BeFalse())
	})

	It("cannot be kept where nothing can be written: a warning, and the first start stays unknown", func() {
		Expect(os.MkdirAll(filepath.Dir(o.StateDir), 0o755)).To(Succeed())
		Expect(os.WriteFile(o.StateDir, nil, 0o644)).To(Succeed()) // root could write into any folder
		self := peer.Identify(o)
		Expect(self.Warnings).To(HaveLen(1))
		Expect(self.FirstStart.Known()).To(BeFalse())
		Expect(self.Restarted).To(BeFalse())
		Expect(self.StartMilli).To(Equal(int64(1665000000123)))
	})

	good := `{"container":"c0b32e9d619f","boot":"` + sampleBoot + `","startNs":93784000000000,"startMs":1665000000123}`
	It("has a fixed form", func() {
		Expect(os.MkdirAll(o.StateDir, 0o755)).To(Succeed())
		Expect(os.WriteFile(path, []byte(good), 0o644)).To(Succeed())
		self := peer.Identify(restart())
		Expect(self.Warnings).To(BeEmpty())
		Expect(self.FirstStart).To(Equal(first))
	})

	DescribeTable("that cannot be trusted is replaced by one that says so",
		func(spoil func()) {
			Expect(os.MkdirAll(o.StateDir, 0o755)).To(Succeed())
			spoil()
			self := peer.Identify(restart())
			Expect(self.Warnings).To(HaveLen(1))
			Expect(self.Restarted).To(BeTrue())
			Expect(self.FirstStart.Known()).To(BeFalse(), "an old container must not turn into the youngest")
			Expect(self.StartMilli).To(BeNumerically(">", 0))

			self = peer.Identify(restart())
			Expect(self.Warnings).To(BeEmpty())
			Expect(self.Restarted).To(BeTrue())
			Expect(self.FirstStart.Known()).To(BeFalse())
			info, err := os.Lstat(path)
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().IsRegular()).To(BeTrue())
		},
		Entry("empty", func() { Expect(os.WriteFile(path, nil, 0o644)).To(Succeed()) }),
		Entry("cut off", func() { Expect(os.WriteFile(path, []byte(good[:40]), 0o644)).To(Succeed()) }),
		Entry("no JSON", func() { Expect(os.WriteFile(path, []byte("\x00\xff"), 0o644)).To(Succeed()) }),
		Entry("of wrong types", func() { Expect(os.WriteFile(path, []byte(`{"container":5}`), 0o644)).To(Succeed()) }),
		Entry("followed by something", func() { Expect(os.WriteFile(path, []byte(good+"{}"), 0o644)).To(Succeed()) }),
		Entry("huge", func() { Expect(os.WriteFile(path, append([]byte(good), make([]byte, 1<<20)...), 0o644)).To(Succeed()) }),
		Entry("of another container", func() {
			Expect(os.WriteFile(path, []byte(`{"container":"0123456789ab","boot":"`+sampleBoot+`","startNs":1,"startMs":1}`), 0o644)).To(Succeed())
		}),
		Entry("of a strange boot", func() {
			Expect(os.WriteFile(path, []byte(`{"container":"c0b32e9d619f","boot":"x","startNs":1,"startMs":1}`), 0o644)).To(Succeed())
		}),
		Entry("before its boot", func() {
			Expect(os.WriteFile(path, []byte(`{"container":"c0b32e9d619f","boot":"`+sampleBoot+`","startNs":-1,"startMs":1}`), 0o644)).To(Succeed())
		}),
		Entry("without a wall time", func() {
			Expect(os.WriteFile(path, []byte(`{"container":"c0b32e9d619f","boot":"`+sampleBoot+`","startNs":1}`), 0o644)).To(Succeed())
		}),
		Entry("from the future", func() {
			Expect(os.WriteFile(path, []byte(`{"container":"c0b32e9d619f","boot":"`+sampleBoot+`","startNs":999999999999999,"startMs":1}`), 0o644)).To(Succeed())
		}),
		Entry("a folder", func() { Expect(os.Mkdir(path, 0o755)).To(Succeed()) }),
		Entry("a link", func() {
			elsewhere := filepath.Join(GinkgoT().TempDir(), "x")
			Expect(os.WriteFile(elsewhere, []byte(good), 0o644)).To(Succeed())
			Expect(os.Symlink(elsewhere, path)).To(Succeed())
		}),
		Entry("a pipe", func() { Expect(mkfifo(path)).To(Succeed()) }),
		Entry("with a second name", func() {
			elsewhere := filepath.Join(filepath.Dir(o.StateDir), "x")
			Expect(os.WriteFile(elsewhere, []byte(good), 0o644)).To(Succeed())
			Expect(os.Link(elsewhere, path)).To(Succeed())
		}),
		Entry("a device", func() {
			if unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) != nil {
				Skip("making a device file takes root")
			}
		}),
		Entry("of another user", func() {
			Expect(os.WriteFile(path, []byte(good), 0o644)).To(Succeed())
			if os.Chown(path, 65534, 65534) != nil {
				Skip("giving a file away takes root")
			}
		}),
	)

	DescribeTable("kept where another user may write is used with a warning if that was configured",
		func(expose func(dir string) error, complaint string) {
			if os.Geteuid() != 0 {
				Skip("it is root who must not trust others")
			}
			Expect(os.MkdirAll(o.StateDir, 0o755)).To(Succeed())
			Expect(expose(o.StateDir)).To(Succeed())
			self := peer.Identify(o)
			if complaint == "" {
				Expect(self.Warnings).To(BeEmpty())
			} else {
				Expect(self.Warnings).To(ConsistOf(MatchError(And(ContainSubstring(complaint), ContainSubstring(o.StateDir),
					ContainSubstring("service.state_dir")))))
			}
			Expect(self.FirstStart).To(Equal(first))
		},
		Entry("all users", func(dir string) error { return os.Chmod(dir, 0o777) }, "every user may write"),
		Entry("all users, each his own", func(dir string) error { return os.Chmod(dir, os.ModeSticky|0o777) }, ""),
		Entry("a group", func(dir string) error {
			return errors.Join(os.Chown(dir, 0, 65534), os.Chmod(dir, 0o775))
		}, "group 65534 may write"),
		Entry("its owner", func(dir string) error { return os.Chown(dir, 65534, 65534) }, "belongs to user 65534"),
		Entry("who made the link", func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-elsewhere"), os.Symlink(dir+"-elsewhere", dir), os.Lchown(dir, 65534, 65534))
		}, "is a link of user 65534"),
		Entry("who made a link on the way, where the folder is not made yet", func(dir string) error {
			parent := filepath.Dir(dir)
			return errors.Join(os.Rename(parent, parent+"-elsewhere"), os.Symlink(parent+"-elsewhere", parent),
				os.Lchown(parent, 65534, 65534), os.Remove(filepath.Join(parent, filepath.Base(dir))))
		}, "is a link of user 65534"),
		Entry("its parent's owner, where the folder is not made yet", func(dir string) error {
			return errors.Join(os.Remove(dir), os.Chown(filepath.Dir(dir), 65534, 65534))
		}, "belongs to user 65534"),
		Entry("root, who made the link", func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-elsewhere"), os.Symlink(dir+"-elsewhere", dir))
		}, ""),
	)
})

var _ = Describe("The usual folder for records", func() {
	It("is not used where another user may write, unless it is configured", func() {
		if os.Geteuid() != 0 {
			Skip("it is root who must not trust others")
		}
		child := exec.Command("unshare", "--mount", os.Args[0])
		child.Env = append(os.Environ(), usualVariable+"="+filepath.Join("testdata", "identity", "docker-cgroup2"))
		out, err := child.CombinedOutput()
		if strings.HasPrefix(string(out), "unshare:") {
			Skip("a mount namespace cannot be had: " + string(out))
		}
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(Equal("kept true\nkept false: it is not used\n"))
	})
})

// usualVariable makes this test binary a process that keeps its record in the
// usual folder, then where every user may write. It is to be alone with /var/lib.
const usualVariable = "PEER_TEST_USUAL_STATE_DIR"

func beUsual(root string) error {
	if err := unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	identify := func() peer.Self {
		return peer.Identify(peer.IdentifyOptions{Root: root, StateDir: peer.DefaultStateDir})
	}
	self := identify()
	fmt.Println("kept", self.FirstStart.Known())
	if err := os.Chmod(peer.DefaultStateDir, 0o777); err != nil {
		return err
	}
	self = identify()
	fmt.Print("kept ", self.FirstStart.Known())
	for _, w := range self.Warnings {
		if strings.Contains(w.Error(), "it is not used") {
			fmt.Print(": it is not used")
		}
	}
	fmt.Println()
	return nil
}
