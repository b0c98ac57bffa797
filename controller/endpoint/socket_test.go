package endpoint_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	. "github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer/procfs"
)

// nobody is another user.
const nobody = 65534

func asRoot() {
	if os.Geteuid() != 0 {
		Skip("only root can be another user as well")
	}
}

// openDir is a folder that other users reach.
func openDir() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("/tmp", "handover-endpoint")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	return dir
}

// started is this test binary as another process.
type started struct {
	cmd *exec.Cmd
	out *buffer
}

func (s *started) said() string { return s.out.String() }

func (s *started) end() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// start starts a role of play, as that user, possibly in namespaces of its own.
func start(role string, uid int, path string, flags ...uintptr) *started {
	GinkgoHelper()
	s := &started{cmd: exec.Command(os.Args[0]), out: new(buffer)}
	s.cmd.Env = []string{"ENDPOINT_TEST_ROLE=" + role, fmt.Sprint("ENDPOINT_TEST_USER=", uid), "ENDPOINT_TEST_PATH=" + path}
	s.cmd.Stdout, s.cmd.Stderr = s.out, GinkgoWriter
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, f := range flags {
		s.cmd.SysProcAttr.Cloneflags |= f
	}
	Expect(s.cmd.Start()).To(Succeed())
	DeferCleanup(s.end)
	return s
}

// play is what this test binary does as another process.
func play(role string) int {
	path := os.Getenv("ENDPOINT_TEST_PATH")
	switch role {
	case "crowd":
		return crowd(path)
	case "serve", "serve as another container":
		l, err := Open(path)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		container := "aaaaaaaaaaaa"
		if role != "serve" {
			container = "bbbbbbbbbbbb"
		}
		Serve(l, Options{Handler: named(container), Logger: slog.New(slog.DiscardHandler)})
		fmt.Println("serving")
		select {}
	case "ask":
		fmt.Println(ask(Socket{Path: path, Container: "aaaaaaaaaaaa"}))
	}
	return 0
}

// ask is what probe does.
func ask(s Socket) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := Client{Socket: s}.Do(ctx, "GET", "/healthz")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = body.Close() }()
	text, _ := io.ReadAll(body)
	return string(text)
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// open opens a socket for this spec.
func open(path string) *Listener {
	GinkgoHelper()
	l, err := Open(path)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = l.Close() })
	return l
}

// dead leaves a socket on which nobody listens.
func dead(path string) {
	GinkgoHelper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	Expect(err).NotTo(HaveOccurred())
	l.SetUnlinkOnClose(false)
	Expect(l.Close()).To(Succeed())
	Expect(path).To(BeAnExistingFile())
}

func names(dir string) (names []string) {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

var _ = Describe("The status socket", func() {
	It("is opened for everybody, and leaves nothing else", func() {
		dir := GinkgoT().TempDir()
		path := filepath.Join(dir, "sock")
		l := open(path)
		Expect(l.Path()).To(Equal(path))
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o666))
		Expect(names(dir)).To(ConsistOf("sock"))
		Expect(l.Close()).To(Succeed())
		Expect(names(dir)).To(BeEmpty())
	})

	It("has its permissions from its first moment on, and a link in its place changes nobody's", func() {
		dir := GinkgoT().TempDir()
		path, precious := filepath.Join(dir, "sock"), filepath.Join(dir, "precious")
		Expect(os.WriteFile(precious, nil, 0o600)).To(Succeed())
		// Who owns the folder puts a link wherever a name comes up.
		stop, stopped := make(chan struct{}), make(chan struct{})
		var narrow []string
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
					if info.Mode().Perm() != 0o666 {
						narrow = append(narrow, info.Mode().String())
					}
					link := filepath.Join(dir, "link")
					_ = os.Symlink(precious, link)
					_ = os.Rename(link, path)
				}
			}
		}()
		for range 500 {
			if l, err := Open(path); err == nil {
				_ = l.Close()
			}
			_ = os.Remove(path)
		}
		close(stop)
		<-stopped
		info, err := os.Stat(precious)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		Expect(narrow).To(BeEmpty())
	})

	It("replaces a leftover", func() {
		dir := GinkgoT().TempDir()
		dead(filepath.Join(dir, "sock"))
		open(filepath.Join(dir, "sock"))
		Expect(names(dir)).To(ConsistOf("sock"))
	})

	It("replaces no leftover that is none any more", func() {
		dir := GinkgoT().TempDir()
		path := filepath.Join(dir, "sock")
		old := open(path)
		Expect(os.Rename(path, filepath.Join(dir, "old"))).To(Succeed())
		l := open(path)
		Expect(Clear(path, old)).To(MatchError(ErrInUse))
		Expect(l.Stands()).To(BeTrue())
		Expect(Clear(path, l)).To(Succeed())
		Expect(Clear(path, l)).To(Succeed(), "nothing is there")
		Expect(names(dir)).To(ConsistOf("old"))
	})

	It("is the one of whoever comes first, of many", func() {
		dir := GinkgoT().TempDir()
		path := filepath.Join(dir, "sock")
		for range 20 {
			dead(path)
			var trying sync.WaitGroup
			all := make([]*Listener, 8)
			for i := range all {
				trying.Go(func() { all[i], _ = Open(path) })
			}
			trying.Wait()
			stand := 0
			for _, l := range all {
				if l != nil && l.Stands() {
					stand++
				}
			}
			Expect(stand).To(Equal(1))
			Expect(names(dir)).To(ConsistOf("sock"))
			for _, l := range all {
				if l != nil {
					Expect(l.Close()).To(Succeed())
				}
			}
			Expect(names(dir)).To(BeEmpty())
		}
	})

	It("leaves one alone on which somebody answers", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		l := open(path)
		_, err := Open(path)
		Expect(err).To(MatchError(ErrInUse))
		Expect(l.Stands()).To(BeTrue())
	})

	It("leaves one alone that has too many connections to answer", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(syscall.Close, fd)
		Expect(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})).To(Succeed())
		Expect(syscall.Listen(fd, 0)).To(Succeed())
		Eventually(func() error {
			conn, err := net.Dial("unix", path)
			if err == nil {
				DeferCleanup(conn.Close)
			}
			return err
		}, patience).Should(MatchError(syscall.EAGAIN))
		_, err = Open(path)
		Expect(err).To(MatchError(ErrInUse))
		Expect(path).To(BeAnExistingFile())
	})

	It("leaves a file alone that is no socket", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		Expect(os.WriteFile(path, []byte("precious"), 0o600)).To(Succeed())
		_, err := Open(path)
		Expect(err).To(MatchError(ContainSubstring("is no socket")))
		Expect(os.ReadFile(path)).To(BeEquivalentTo("precious"))
	})

	It("is removed only if it is this one", func() {
		path := filepath.Join(GinkgoT().TempDir(), "sock")
		l := open(path)
		Expect(l.Stands()).To(BeTrue())
		Expect(os.Remove(path)).To(Succeed())
		Expect(l.Stands()).To(BeFalse())
		Expect(os.WriteFile(path, []byte("precious"), 0o600)).To(Succeed())
		Expect(l.Close()).To(Succeed())
		Expect(os.ReadFile(path)).To(BeEquivalentTo("precious"))
	})

	It("may be at a path of this container's own, and in /dev/shm", func() {
		Expect(Socket{Path: "/tmp/handover.sock", Container: "aaaaaaaaaaaa"}.Paths()).To(Equal([]string{
			"/tmp/handover.sock", "/tmp/handover-aaaaaaaaaaaa.sock", "/dev/shm/handover.sock", "/dev/shm/handover-aaaaaaaaaaaa.sock",
		}))
		Expect(Socket{Path: "/tmp/s"}.Paths()).To(Equal([]string{"/tmp/s", "/dev/shm/s"}))
		Expect(Socket{Path: "/dev/shm/s"}.Paths()).To(Equal([]string{"/dev/shm/s"}))
		long := "/tmp/" + strings.Repeat("x", 102)
		Expect(Socket{Path: long, Container: "aaaaaaaaaaaa"}.Paths()).To(Equal([]string{long}), "the others are too long")
	})
})

// kept is a socket that is kept, as by run.
type kept struct {
	log    *buffer
	change func()
}

// keep keeps a socket for a container.
func keep(s Socket) *kept {
	k := &kept{log: new(buffer)}
	var mu sync.Mutex
	next := make(chan struct{})
	k.change = func() {
		mu.Lock()
		defer mu.Unlock()
		close(next)
		next = make(chan struct{})
	}
	o := Options{Handler: named(s.Container), Logger: slog.New(slog.DiscardHandler)}
	keeper := &Keeper{
		Socket: s, Logger: slog.New(slog.NewTextHandler(k.log, nil)),
		Serve: func(l *Listener) func() { return Serve(l, o) },
		Changed: func() <-chan struct{} {
			mu.Lock()
			defer mu.Unlock()
			return next
		},
	}
	keeper.Tend()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		keeper.Run(ctx)
	}()
	DeferCleanup(func() {
		cancel()
		<-over
	})
	return k
}

// fill has a socket at the path that lets nobody in any more.
func fill(path string) {
	GinkgoHelper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(unix.Close, fd)
	Expect(unix.Bind(fd, &unix.SockaddrUnix{Name: path})).To(Succeed())
	Expect(unix.Listen(fd, 0)).To(Succeed())
	for {
		conn, err := net.Dial("unix", path)
		if err != nil {
			Expect(err).To(MatchError(syscall.EAGAIN))
			return
		}
		DeferCleanup(conn.Close)
	}
}

var _ = DescribeTable("A full socket turns out", func(known func(client int) bool, out int) {
	Expect(TurnsOut(4, known)).To(Equal(out))
},
	Entry("the known one who asked first, for another known one", func(int) bool { return true }, 0),
	Entry("a stranger before those who are known", func(client int) bool { return client != 2 }, 2),
	Entry("the newcomer, if he is the only stranger", func(client int) bool { return client < 4 }, 4),
)

var _ = DescribeTable("What an init runs", func(want bool, pid int, all ...procfs.Stat) {
	Expect(IsMain(all, pid)).To(Equal(want))
},
	Entry("its first child", true, 7, procfs.Stat{Name: "tini", PID: 1}, procfs.Stat{PID: 30, Parent: 1, Start: 9}, procfs.Stat{PID: 7, Parent: 1, Start: 5}),
	Entry("not an orphan", false, 30, procfs.Stat{Name: "tini", PID: 1}, procfs.Stat{PID: 30, Parent: 1, Start: 9}, procfs.Stat{PID: 7, Parent: 1, Start: 5}),
	Entry("not an orphan of the same tick", false, 30, procfs.Stat{Name: "tini", PID: 1}, procfs.Stat{PID: 30, Parent: 1, Start: 5}, procfs.Stat{PID: 7, Parent: 1, Start: 5}),
	Entry("not a grandchild", false, 30, procfs.Stat{Name: "tini", PID: 1}, procfs.Stat{PID: 30, Parent: 7, Start: 9}, procfs.Stat{PID: 7, Parent: 1, Start: 5}),
	Entry("nobody if process 1 is no init: it is the service", false, 7, procfs.Stat{Name: "handover", PID: 1}, procfs.Stat{PID: 7, Parent: 1, Start: 5}),
	Entry("nobody where nothing can be seen", false, 7),
)

var _ = Describe("A socket that cannot be had", func() {
	It("is had when the other instance has ended; until then there is another one", func() {
		dir := GinkgoT().TempDir()
		s := Socket{Path: filepath.Join(dir, "h.sock"), Container: "aaaaaaaaaaaa"}
		older, err := Open(s.Path)
		Expect(err).NotTo(HaveOccurred())
		go func() { // it answers nothing
			for {
				if _, err := older.Accept(); err != nil {
					return
				}
			}
		}()
		k := keep(s)
		Expect(names(dir)).To(ConsistOf("h.sock", "h-aaaaaaaaaaaa.sock"))
		Expect(k.log.String()).To(And(ContainSubstring("another instance answers on it"), ContainSubstring("h-aaaaaaaaaaaa.sock")))
		Expect(older.Close()).To(Succeed())
		k.change()
		Eventually(func() string { return ask(Socket{Path: s.Path}) }, patience).Should(Equal("ok\n"))
		Expect(ask(s)).To(Equal("ok\n"))
		Expect(strings.Count(k.log.String(), "another instance answers")).To(Equal(1))
		Eventually(k.log.String, patience).Should(ContainSubstring("is served now"))
	})

	It("is had at a change after what stood in its place has gone, where there is another one meanwhile", func() {
		s := Socket{Path: filepath.Join(GinkgoT().TempDir(), "h.sock"), Container: "aaaaaaaaaaaa"}
		Expect(os.WriteFile(s.Path, nil, 0o600)).To(Succeed())
		k := keep(s)
		Expect(ask(s)).To(Equal("ok\n"))
		Expect(os.Remove(s.Path)).To(Succeed())
		Eventually(func() string {
			k.change()
			return ask(Socket{Path: s.Path})
		}, patience).Should(Equal("ok\n"))
	})

	It("is had sooner or later though nothing tells that it is free", func() {
		s := Socket{Path: filepath.Join(GinkgoT().TempDir(), "h.sock")}
		Expect(os.WriteFile(s.Path, nil, 0o600)).To(Succeed())
		for _, path := range s.Paths()[1:] {
			Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
			DeferCleanup(os.Remove, path)
		}
		k := keep(s)
		Expect(k.log.String()).To(ContainSubstring("is no socket"))
		Expect(os.Remove(s.Path)).To(Succeed())
		Eventually(func() string { return ask(s) }, patience).Should(Equal("ok\n"))
	})

	It("is made again as soon as it is removed, though nothing else happens", func() {
		dir := GinkgoT().TempDir()
		s := Socket{Path: filepath.Join(dir, "h.sock")}
		k := keep(s)
		for range 3 {
			Expect(os.Remove(s.Path)).To(Succeed())
			Eventually(func() string { return ask(s) }, patience).Should(Equal("ok\n"))
			Expect(os.Rename(s.Path, filepath.Join(dir, "elsewhere"))).To(Succeed())
			Eventually(func() string { return ask(s) }, patience).Should(Equal("ok\n"))
		}
		Expect(k.log.String()).To(ContainSubstring("was removed or replaced; it is made again"))
	})

	It("does not go through a link of another user", func() {
		asRoot()
		dir := GinkgoT().TempDir()
		Expect(os.Mkdir(filepath.Join(dir, "target"), 0o755)).To(Succeed())
		Expect(os.Symlink("target", filepath.Join(dir, "link"))).To(Succeed())
		Expect(os.Lchown(filepath.Join(dir, "link"), nobody, nobody)).To(Succeed())
		_, err := Open(filepath.Join(dir, "link", "h.sock"))
		Expect(err).To(MatchError(ContainSubstring("is a link of user 65534, which is not followed")))
		Expect(names(filepath.Join(dir, "target"))).To(BeEmpty())
	})

	It("is found beside a socket that a stranger lets fill up", func() {
		s := Socket{Path: filepath.Join(GinkgoT().TempDir(), "h.sock"), Container: "aaaaaaaaaaaa"}
		fill(s.Path)
		keep(s)
		Expect(ask(s)).To(Equal("ok\n"))
		_, _, err := Client{Socket: s}.Find(context.Background())
		Expect(err).NotTo(HaveOccurred())

		short, done := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer done()
		_, err = Client{Socket: Socket{Path: s.Path}}.Do(short, "GET", "/healthz")
		Expect(err).To(MatchError(ErrFull))
		Expect(err).To(MatchError(ContainSubstring(s.Path)))
	})

	It("goes to /dev/shm where its folder is missing", func() {
		name := fmt.Sprintf("handover-test-%d.sock", os.Getpid())
		s := Socket{Path: filepath.Join(GinkgoT().TempDir(), "missing", name)}
		keep(s)
		Expect("/dev/shm/" + name).To(BeAnExistingFile())
		Expect(ask(s)).To(Equal("ok\n"))
	})
})

var _ = Describe("Who asks", func() {
	It("believes nobody of another user", func() {
		asRoot()
		dir := openDir()
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		s := Socket{Path: filepath.Join(dir, "h.sock"), Container: "aaaaaaaaaaaa"}
		other := start("serve", nobody, s.Path)
		Eventually(other.said, patience).Should(ContainSubstring("serving"))
		Expect(ask(s)).To(ContainSubstring("another user listens there"), "root asks, and it is the same program")
		asks := start("ask", 1, s.Path)
		Eventually(asks.said, patience).Should(ContainSubstring("if that process is the instance, run this command as user 65534"))

		By("the instance")
		keep(s)
		asks = start("ask", 1, s.Path)
		Eventually(asks.said, patience).Should(Equal("ok\n\n"))
	})

	It("believes no other container's instance, whoever is there first", func() {
		asRoot()
		s := Socket{Path: filepath.Join(openDir(), "h.sock"), Container: "aaaaaaaaaaaa"}
		other := start("serve", 0, s.Path, syscall.CLONE_NEWPID)
		Eventually(other.said, patience).Should(Or(ContainSubstring("serving"), ContainSubstring("not permitted")))
		asks := start("ask", 0, s.Path, syscall.CLONE_NEWPID)
		Eventually(asks.said, patience).Should(ContainSubstring("another container"))
	})

	It("believes no other container's instance where all see each other's processes", func() {
		s := Socket{Path: filepath.Join(openDir(), "h.sock"), Container: "aaaaaaaaaaaa"}
		other := start("serve as another container", 0, s.Path)
		Eventually(other.said, patience).Should(ContainSubstring("serving"))
		Expect(ask(s)).To(ContainSubstring("that of another container: bbbbbbbbbbbb, and this is aaaaaaaaaaaa"))
		keep(s)
		Expect(ask(s)).To(Equal("ok\n"), "on the path of its own")
		Expect(ask(Socket{Path: s.Path})).To(Equal("ok\n"), "who does not know its container asks the first one")
	})
})
