package peer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// residentVariable makes TestResident an instance in a process of its own.
const residentVariable = "PEER_TEST_RESIDENT"

// residentConfig is what it needs to know.
type residentConfig struct {
	Path   string
	ID     peer.InstanceID
	Domain peer.Domain
	// Fork starts a process that inherits the lock, as one does that was forked
	// and has not come to its exec.
	Fork bool
	// Answer makes it answer whatever it hears, once it is ready.
	Answer bool
}

// TestResident is no test, but such a process. It prints
//
//	ready          its announcement stands there
//	forked 4711    the process that inherited the lock
//	failed         it could not be written
//	heard ID       and
//	fresh ID       and
//	died ID        what it is told of others
//
// and closes the folder at the end of its standard input.
func TestResident(t *testing.T) {
	text := os.Getenv(residentVariable)
	if text == "" {
		t.Skip("a process for other tests")
	}
	if err := beResident(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0) // says nothing of tests
}

func beResident(text string) error {
	var cfg residentConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	f, err := peer.OpenFolder(peer.FolderConfig{Path: cfg.Path, Self: cfg.ID, Domain: cfg.Domain})
	if err != nil {
		return err
	}
	raw, err := announce(cfg.ID, peer.PhaseServing, 1).Append(nil, nil)
	if err != nil {
		return err
	}
	var ready atomic.Bool
	go func() {
		buf := make([]byte, peer.MaxDatagram+1)
		for sequence := uint64(2); ; sequence++ {
			r, err := f.Receive(buf)
			switch {
			case err != nil:
				return
			case r.Event == peer.EventDatagram && r.Drop == peer.NotDropped:
				var a peer.Announcement
				if a.Decode(buf[:r.N], cfg.Domain, nil) == nil {
					fmt.Println("heard", a.Instance)
				}
				raw, err := announce(cfg.ID, peer.PhaseServing, sequence).Append(nil, nil)
				if cfg.Answer && ready.Load() && err == nil {
					_ = f.Send(raw, true)
				}
			case r.Event == peer.EventFresh:
				fmt.Println("fresh", r.Instance)
			case r.Event == peer.EventDied:
				fmt.Println("died", r.Instance)
			}
		}
	}()
	if err := f.Send(raw, false); err != nil {
		return err
	}
	for {
		if _, err := os.Lstat(fileOf(cfg.Path, cfg.ID, ".ann")); err == nil {
			break
		}
		if f.Send(raw, true) != nil && f.Send(raw, true) != peer.ErrSkipped {
			fmt.Println("failed")
			break
		}
		time.Sleep(time.Millisecond) // real time: this is no test, but a process
	}
	if cfg.Fork {
		if err := inheritLock(fileOf(cfg.Path, cfg.ID, ".lock")); err != nil {
			return err
		}
	}
	ready.Store(true)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return f.Close()
}

// inheritLock starts a process with a copy of the descriptor of that lock.
func inheritLock(path string) error {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != path {
			continue
		}
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil {
			return err
		}
		fd, err = unix.Dup(fd)
		if err != nil {
			return err
		}
		child := exec.Command("sleep", "1000")
		child.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), path)}
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println("forked", child.Process.Pid)
		return child.ExtraFiles[0].Close()
	}
	return fmt.Errorf("no descriptor of %s is open", path)
}

// process is such an instance, seen from the test.
type process struct {
	id    peer.InstanceID
	path  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}

	mu    sync.Mutex
	lines []string
}

// start starts one; change may be nil.
func start(cfg residentConfig, change func(*exec.Cmd)) *process {
	GinkgoHelper()
	cfg.ID, cfg.Domain = peer.NewInstanceID(), testDomain
	text, err := json.Marshal(cfg)
	Expect(err).NotTo(HaveOccurred())
	p := &process{id: cfg.ID, path: cfg.Path, cmd: exec.Command(os.Args[0], "-test.run=^TestResident$"), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), residentVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = GinkgoWriter
	if change != nil {
		change(p.cmd)
	}
	p.stdin, err = p.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := p.cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(p.cmd.Start()).To(Succeed())
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
	}()
	DeferCleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

func (p *process) ready() *process {
	GinkgoHelper()
	Eventually(p.said).Should(ContainElement("ready"))
	return p
}

// left returns which of its files are there.
func (p *process) left() []string {
	var all []string
	for _, name := range names(p.path) {
		if suffix, ok := strings.CutPrefix(name, ".handover-"+p.id.String()); ok {
			all = append(all, suffix)
		}
	}
	return all
}

var _ = Describe("An instance that is killed", func() {
	BeforeEach(checkLeaks)

	// The lock tells, within milliseconds of the kernel's freeing it: nothing here
	// looks again after a while, and what was said is fresh for 15 s, which is longer
	// than this waits.
	It("is seen to have died, and what it left is removed", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		var took []time.Duration
		for range 8 {
			b := start(residentConfig{Path: dir}, nil).ready()
			Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
			killed := time.Now()
			b.kill()
			Eventually(a.died).WithArguments(b.id).Should(BeTrue())
			took = append(took, a.of(b.id, peer.EventDied)[0].At.Sub(killed).Round(time.Millisecond))
			Eventually(b.left).Should(BeEmpty())
		}
		AddReportEntry("SIGKILL to the word that it died", fmt.Sprint(took))
	})

	It("is not believed dead while a process that it forked has its lock, and is then", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		b := start(residentConfig{Path: dir, Fork: true}, nil).ready()
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		var forked int
		for _, line := range b.said() {
			_, _ = fmt.Sscanf(line, "forked %d", &forked)
		}
		Expect(forked).NotTo(BeZero())
		DeferCleanup(func() { _ = syscall.Kill(forked, syscall.SIGKILL) })
		_ = b.cmd.Process.Kill()
		Consistently(a.died, "300ms").WithArguments(b.id).Should(BeFalse())
		Expect(syscall.Kill(forked, syscall.SIGKILL)).To(Succeed())
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Eventually(b.left).Should(BeEmpty())
	})

	It("gives up its lock at an orderly end, whoever inherited it", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		b := start(residentConfig{Path: dir, Fork: true}, nil).ready()
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		var forked int
		for _, line := range b.said() {
			_, _ = fmt.Sscanf(line, "forked %d", &forked)
		}
		Expect(forked).NotTo(BeZero())
		DeferCleanup(func() { _ = syscall.Kill(forked, syscall.SIGKILL) })
		Expect(b.stdin.Close()).To(Succeed())
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Expect(syscall.Kill(forked, 0)).To(Succeed(), "which still runs")
	})

	It("leaves files that the next one removes, and only those", func() {
		dir := tempFolder()
		b := start(residentConfig{Path: dir}, nil).ready()
		alive := start(residentConfig{Path: dir}, nil).ready()
		silent := peer.NewInstanceID() // killed, or not yet done, between its lock and its announcement
		Expect(os.WriteFile(fileOf(dir, silent, ".lock"), nil, 0o644)).To(Succeed())
		Expect(os.WriteFile(fileOf(dir, silent, ".ann.new"), []byte{1}, 0o644)).To(Succeed())
		Expect(os.WriteFile(fileOf(dir, peer.NewInstanceID(), ".lock.new"), nil, 0o644)).To(Succeed())
		beginning, slow := peer.NewInstanceID(), peer.NewInstanceID()
		holdLock(fileOf(dir, beginning, ".lock.new"))
		holdLock(fileOf(dir, slow, ".lock"))
		alive.kill() // so that nobody is there to see b die
		alive = start(residentConfig{Path: dir}, nil).ready()
		b.kill()
		Eventually(b.left).Should(BeEmpty(), "the living remove what the dead leave")
		alive.kill()
		Expect(alive.left()).To(ConsistOf(".ann", ".lock"))

		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		Eventually(names).WithArguments(dir).Should(ConsistOf(
			filepath.Base(a.file(".ann")), filepath.Base(a.file(".lock")),
			filepath.Base(fileOf(dir, beginning, ".lock.new")), filepath.Base(fileOf(dir, slow, ".lock")),
		))
		Expect(a.notices()).To(BeEmpty(), "the dead say nothing")
	})

	It("is told from the living, by all of them, when many are killed and start at the same time", func() {
		dir := tempFolder()
		watchers := []*resident{settle(dir, nil), settle(dir, nil), settle(dir, nil)}
		var all []*process
		for range 6 {
			all = append(all, start(residentConfig{Path: dir}, nil))
		}
		for _, p := range all {
			p.ready()
			for _, w := range watchers {
				Eventually(w.fresh).WithArguments(p.id).Should(BeTrue())
			}
		}
		dead, alive := all[:3], all[3:]
		for _, p := range dead {
			go func() { _ = p.cmd.Process.Kill() }()
			alive = append(alive, start(residentConfig{Path: dir}, nil))
		}
		for _, w := range watchers {
			for _, p := range dead {
				Eventually(w.died).WithArguments(p.id).Should(BeTrue())
			}
			for _, p := range alive {
				Eventually(w.fresh).WithArguments(p.id).Should(BeTrue())
			}
		}
		for _, p := range dead {
			Eventually(p.left).Should(BeEmpty())
		}
		for _, p := range alive {
			for _, w := range watchers {
				Expect(w.died(p.id)).To(BeFalse())
			}
			Expect(p.stdin.Close()).To(Succeed())
		}
		Eventually(names).WithArguments(dir).Should(BeEmpty())
	})
})

// locksOf returns the lock files of that folder that a process has open.
func locksOf(dir string, pid int) (all []string) {
	GinkgoHelper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	Expect(err).NotTo(HaveOccurred())
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Dir(target) == dir && strings.HasSuffix(target, ".lock") {
			all = append(all, target)
		}
	}
	return all
}

var _ = Describe("Instances of different users", func() {
	BeforeEach(checkLeaks)

	// asNobody starts one as a user who may not write to the folder, unless all may.
	asNobody := func(dir string) *process {
		GinkgoHelper()
		if os.Geteuid() != 0 {
			Skip("starting a process of another user takes root")
		}
		program := filepath.Join(tempFolder(), "resident")
		text, err := os.ReadFile(os.Args[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(program, text, 0o755)).To(Succeed())
		return start(residentConfig{Path: dir}, func(c *exec.Cmd) {
			c.Path, c.Dir = program, filepath.Dir(program)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}).ready()
	}

	It("hear each other, and see each other die", func() {
		dir := tempFolder()
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		b := asNobody(dir)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Eventually(b.said).Should(ContainElement("fresh " + a.id.String()))
		b.kill()
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Eventually(b.left).Should(BeEmpty())
		b = asNobody(dir)
		Eventually(b.said).Should(ContainElement("fresh " + a.id.String()))
		Expect(a.Close()).To(Succeed())
		Eventually(b.said).Should(ContainElement("died " + a.id.String()))
	})

	It("hear those who can write to the folder where they cannot themselves; no lock is for them", func() {
		dir := tempFolder()
		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		b := asNobody(dir)
		Expect(b.said()).To(ContainElement("failed"))
		heard := func() int { return strings.Count(strings.Join(b.said(), "\n"), "heard "+a.id.String()) }
		Eventually(heard).Should(Equal(1))
		a.say(peer.PhaseServing)
		Eventually(heard).Should(Equal(2))
		By("being told by the kernel, though the lock cannot be tried")
		Expect(locksOf(dir, b.cmd.Process.Pid)).To(BeEmpty())
		Eventually(b.said).Should(ContainElement("fresh " + a.id.String()))
		Expect(a.Close()).To(Succeed())
		Eventually(b.said).Should(ContainElement("died " + a.id.String()))
		c := start(residentConfig{Path: dir}, nil).ready()
		Eventually(b.said).Should(ContainElement("fresh " + c.id.String()))
		c.kill()
		Eventually(b.said).Should(ContainElement("died " + c.id.String()))
		Expect(b.left()).To(BeEmpty())
	})

	It("hear and see each other die in a folder that belongs to one of them", func() {
		dir := tempFolder()
		if os.Geteuid() != 0 {
			Skip("giving a folder away takes root")
		}
		Expect(os.Chown(dir, 65534, 65534)).To(Succeed())
		a := settle(dir, nil)
		a.say(peer.PhaseServing)
		b := asNobody(dir)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		Eventually(b.said).Should(ContainElement("fresh " + a.id.String()))
		Expect(a.Close()).To(Succeed())
		Eventually(b.said).Should(ContainElement("died " + a.id.String()))
		a = settle(dir, nil)
		Eventually(a.fresh).WithArguments(b.id).Should(BeTrue())
		b.kill()
		Eventually(a.died).WithArguments(b.id).Should(BeTrue())
		Eventually(b.left).Should(BeEmpty())
	})
})

var _ = Describe("A file system that is full", func() {
	BeforeEach(checkLeaks)

	It("keeps the announcement that is there", func() {
		dir := tempFolder()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4096,mode=755"); err != nil {
			Skip("making a small file system takes root: " + err.Error())
		}
		DeferCleanup(unix.Unmount, dir, unix.MNT_DETACH)
		a, b := settle(dir, nil), settle(dir, nil)
		said := a.say(peer.PhaseServing) // all the space that there is
		Expect(a.Send(a.word(peer.PhaseServing), false)).To(Succeed())
		Eventually(func() error { return a.Send(a.word(peer.PhaseServing), true) }).Should(MatchError(unix.ENOSPC))
		a.shows(said)
		Eventually(b.fresh).WithArguments(a.id).Should(BeTrue())
		Expect(a.Close()).To(Succeed())
		Eventually(b.died).WithArguments(a.id).Should(BeTrue())
		Expect(names(dir)).To(BeEmpty())
	})
})
