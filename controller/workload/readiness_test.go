package workload_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/supervisor/simulator"
)

var _ = Describe("Readiness", func() {
	reason := func(w *workload.Workload) func() string {
		return func() string { return w.State().NotReadyReason }
	}

	It("is at once without a rule, and tells since when", func() {
		w := start(workload.Options{Argv: self("trap")})
		Eventually(ready(w)).Should(BeTrue())
		s := w.State()
		Expect(s.EverReady).To(BeTrue())
		Expect(s.NotReadyReason).To(BeEmpty())
		Expect(s.ReadySince).To(BeTemporally(">=", s.Started))
	})

	It("is after a time", func() {
		w := start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{After: 100 * time.Millisecond}})
		Expect(w.State().NotReadyReason).To(Equal("starting"))
		Eventually(ready(w)).Should(BeTrue())
		Expect(w.State().ReadySince).To(BeTemporally(">=", w.State().Started.Add(100*time.Millisecond)))
	})

	It("is never that of an earlier run", func() {
		w := create(workload.Options{
			Argv: []string{"sh", "-c", "exit"}, Readiness: workload.Readiness{After: 50 * time.Millisecond},
		})
		for range 20 {
			Expect(w.Start()).To(Succeed())
			Eventually(ended(w)).Should(BeTrue())
			Expect(w.State().EverReady).To(BeFalse())
		}
	})

	Describe("http", func() {
		var status atomic.Int64
		var requests atomic.Int64
		var server *httptest.Server
		BeforeEach(func() {
			status.Store(503)
			requests.Store(0)
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if s := int(status.Load()); s != 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(s)
					return
				}
				<-r.Context().Done()
			}))
			DeferCleanup(server.Close)
		})
		rule := func() workload.Readiness {
			return quick(workload.Readiness{HTTP: server.URL + "/health", Timeout: time.Second})
		}

		It("follows the answers", func() {
			w := start(workload.Options{Argv: self("trap"), Readiness: rule()})
			Eventually(reason(w)).Should(Equal("GET " + server.URL + "/health: 503 Service Unavailable"))
			for _, good := range []int64{200, 204, 302, 399} {
				status.Store(good)
				Eventually(ready(w)).Should(BeTrue())
				status.Store(404)
				Eventually(ready(w)).Should(BeFalse())
				Expect(w.State().NotReadyReason).To(Equal("GET " + server.URL + "/health: 404 Not Found"))
				Expect(w.State().EverReady).To(BeTrue())
			}
		})

		It("forgives fewer failures than configured", func() {
			r := rule()
			r.Failures = 1 << 30
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			status.Store(200)
			Eventually(ready(w)).Should(BeTrue())
			status.Store(500)
			before := requests.Load()
			Eventually(requests.Load).Should(BeNumerically(">", before+10))
			Expect(w.State().Ready).To(BeTrue())
		})

		It("takes no answer in time for a failure", func() {
			r := rule()
			r.Timeout = 20 * time.Millisecond
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			status.Store(0)
			Eventually(reason(w)).Should(Equal("GET " + server.URL + "/health: no answer in time"))
		})

		It("says why nobody answers, without what may be secret", func() {
			address := simulator.FreeAddress()
			r := quick(workload.Readiness{HTTP: "http://user:password@" + address + "/health?token=x#y"})
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			Eventually(reason(w)).Should(Equal("GET http://" + address + "/health?…: connection refused"))
		})

		It("asks at once, soon again, and then in each period only", func() {
			r := rule()
			r.Period, r.ServingPeriod = time.Hour, time.Hour
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			Eventually(requests.Load).Should(BeNumerically(">=", 4), "20 + 40 + 80 ms")
			status.Store(200)
			Eventually(ready(w)).Should(BeTrue())
			before := requests.Load()
			Consistently(requests.Load, "100ms").Should(Equal(before))
		})

		It("asks no more after the stop signal", func() {
			status.Store(200)
			w, _ := started(workload.Options{Argv: self("trap"), Readiness: rule()})
			Eventually(ready(w)).Should(BeTrue())
			w.Drain(soon())
			Eventually(reason(w)).Should(Equal("stop signal sent"))
			before := requests.Load() // one more may be on its way
			Consistently(requests.Load, "100ms").Should(BeNumerically("<=", before+1))
		})
	})

	Describe("tcp", func() {
		It("is a connection", func() {
			address := simulator.FreeAddress()
			w := start(workload.Options{Argv: self("trap"), Readiness: quick(workload.Readiness{TCP: address})})
			Eventually(reason(w)).Should(Equal("connect to " + address + ": connection refused"))
			listener, err := net.Listen("tcp", address)
			Expect(err).NotTo(HaveOccurred())
			Eventually(ready(w)).Should(BeTrue())
			Expect(listener.Close()).To(Succeed())
			Eventually(ready(w)).Should(BeFalse())
		})
	})

	It("says in the state, and once in the log, why it is overdue", func() {
		log := gbytes.NewBuffer()
		w := start(workload.Options{Argv: self("trap"), Logger: logger(log), Readiness: quick(workload.Readiness{
			Command: workload.Command{Argv: []string{"sh", "-c", "exit 3"}},
		})})
		Eventually(reason(w)).Should(Equal("command: exit status 3"))
		Expect(w.State().Overdue).To(BeEmpty())
		Eventually(func() string { return w.State().Overdue }).Should(Equal("command: exit status 3"))
		Eventually(log).Should(gbytes.Say(`level=WARN msg="workload still not ready" after=\S+ because="command: exit status 3"`))
		Consistently(log, "200ms").ShouldNot(gbytes.Say("still not ready"))
	})

	Describe("command", func() {
		It("is exit status 0", func() {
			file := filepath.Join(GinkgoT().TempDir(), "ok")
			w := start(workload.Options{Argv: self("trap"), Readiness: quick(workload.Readiness{
				Command: workload.Command{Argv: []string{"test", "-e", file}},
			})})
			Eventually(reason(w)).Should(Equal("command: exit status 1"))
			Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
			Eventually(ready(w)).Should(BeTrue())
			Expect(os.Remove(file)).To(Succeed())
			Eventually(ready(w)).Should(BeFalse())
		})

		It("is killed with its group when it takes too long", func() {
			file := filepath.Join(GinkgoT().TempDir(), "pids")
			r := quick(workload.Readiness{Command: workload.Command{Argv: []string{
				"sh", "-c", `sleep 1000 & echo $$ $! > "$1"; wait`, "probe", file,
			}}})
			r.Timeout, r.Period = 300*time.Millisecond, time.Hour
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			Eventually(reason(w)).Should(Equal("command not finished in time"))
			var pids []string
			Eventually(func() []string { // it may be killed before it has written them, and is run again
				b, _ := os.ReadFile(file)
				pids = strings.Fields(string(b))
				return pids
			}).Should(HaveLen(2))
			for _, pid := range pids {
				Eventually(alive).WithArguments(number(pid)).Should(BeFalse())
			}
		})

		It("says that it does not exist", func() {
			w := start(workload.Options{Argv: self("trap"), Readiness: quick(workload.Readiness{
				Command: workload.Command{Argv: []string{"/does/not/exist"}},
			})})
			Eventually(reason(w)).Should(ContainSubstring("no such file"))
		})

		It("does not outlive the workload", func() {
			file := filepath.Join(GinkgoT().TempDir(), "pid")
			r := workload.Readiness{
				Command: workload.Command{Argv: []string{"sh", "-c", `echo $$ > "$1"; exec sleep 1000`, "probe", file}},
				Timeout: time.Hour,
			}
			w := start(workload.Options{Argv: self("trap", "15"), Readiness: r})
			Eventually(func() string { b, _ := os.ReadFile(file); return string(b) }).ShouldNot(BeEmpty())
			w.Drain(soon())
			Eventually(ended(w)).Should(BeTrue())
			b, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			Expect(alive(number(strings.TrimSpace(string(b))))).To(BeFalse())
		})
	})

	Describe("file", func() {
		var dir string
		BeforeEach(func() { dir = GinkgoT().TempDir() })
		touch := func(path string) { Expect(os.WriteFile(path, nil, 0o600)).To(Succeed()) }

		It("is there, is gone, is there again; one of an earlier run does not count", func() {
			file := filepath.Join(dir, "ready")
			touch(file)
			w := start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{File: file}})
			Eventually(reason(w)).Should(ContainSubstring("no such file"))
			for range 3 {
				touch(file)
				Eventually(ready(w)).Should(BeTrue())
				touch(filepath.Join(dir, "other"))
				Expect(os.Remove(file)).To(Succeed())
				Eventually(ready(w)).Should(BeFalse())
				touch(filepath.Join(dir, "moved"))
				Expect(os.Rename(filepath.Join(dir, "moved"), file)).To(Succeed())
				Eventually(ready(w)).Should(BeTrue())
				Expect(os.Rename(file, filepath.Join(dir, "away"))).To(Succeed())
				Eventually(ready(w)).Should(BeFalse())
			}
		})

		It("may be in folders that come and go", func() {
			file := filepath.Join(dir, "a/b/c/ready")
			w := start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{File: file}})
			for range 3 {
				Eventually(reason(w)).Should(ContainSubstring("no such file"))
				for _, folder := range []string{"a", "a/b", "a/b/c"} {
					Expect(os.Mkdir(filepath.Join(dir, folder), 0o755)).To(Succeed())
				}
				touch(file)
				Eventually(ready(w)).Should(BeTrue())
				Expect(os.RemoveAll(filepath.Join(dir, "a"))).To(Succeed())
				Eventually(ready(w)).Should(BeFalse())
			}
		})

		It("starts from the workload's directory", func() {
			w := start(workload.Options{
				Argv: []string{"sh", "-c", "echo > ready; sleep 1000"}, Dir: dir, Readiness: workload.Readiness{File: "ready"},
			})
			Eventually(ready(w)).Should(BeTrue())
		})

		It("is asked for in each period where it cannot be watched", func() {
			if os.Geteuid() == 0 {
				Skip("needs an ordinary user: root may watch every folder")
			}
			Expect(os.Chmod(dir, 0o300)).To(Succeed())
			DeferCleanup(os.Chmod, dir, os.FileMode(0o700))
			file := filepath.Join(dir, "ready")
			w := start(workload.Options{Argv: self("trap"), Readiness: quick(workload.Readiness{File: file})})
			Eventually(reason(w)).Should(ContainSubstring("no such file"))
			touch(file)
			Eventually(ready(w)).Should(BeTrue())
			Expect(os.Remove(file)).To(Succeed())
			Eventually(ready(w)).Should(BeFalse())
		})

		It("counts once it has changed, if the old one can't be removed", func() {
			// A folder that is not empty can't, whoever we are.
			file := filepath.Join(dir, "ready")
			Expect(os.Mkdir(file, 0o755)).To(Succeed())
			touch(filepath.Join(file, "x"))
			w := start(workload.Options{Argv: self("trap"), Readiness: workload.Readiness{File: file}})
			Eventually(reason(w)).Should(ContainSubstring("not changed since an earlier run"))
			later := time.Now().Add(time.Hour)
			Expect(os.Chtimes(file, later, later)).To(Succeed())
			Eventually(ready(w)).Should(BeTrue())
		})
	})

	Describe("notify", func() {
		It("is READY=1, until STOPPING=1", func() {
			w, out := started(workload.Options{
				Argv: self("notify", "READY=0", "garbage\x01\xff\n\nREADY=11", "STATUS=BIG", "", "X=1\nREADY=1\nSTATUS=up",
					"STOPPING=1", "READY=1\nX=BIG"),
				Readiness: workload.Readiness{Notify: true},
			})
			next := func(n int) {
				GinkgoHelper()
				Eventually(out.lines).Should(HaveLen(2 * n))
				Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
				Eventually(out.lines).Should(HaveLen(2 * (n + 1)))
			}
			for n := 1; n < 4; n++ {
				next(n)
				Consistently(ready(w), "20ms").Should(BeFalse())
			}
			next(4)
			Eventually(ready(w)).Should(BeTrue())
			next(5)
			Eventually(reason(w)).Should(Equal("STOPPING=1"))
			next(6)
			Eventually(ready(w)).Should(BeTrue(), "lines that fit count")
		})

		It("is not listened to after the stop signal, but still there", func() {
			w, out := started(workload.Options{
				Argv: self("notify", "READY=1", "READY=1"), Readiness: workload.Readiness{Notify: true},
			})
			Eventually(ready(w)).Should(BeTrue())
			w.Drain(soon()) // the signal makes it say READY=1 again
			Eventually(out.lines).Should(HaveLen(4))
			Consistently(ready(w), "50ms").Should(BeFalse())
			Expect(w.State().NotReadyReason).To(Equal("stop signal sent"))
		})

		It("closes files that a message brings, and survives many messages", func() {
			out := newOutput()
			w := start(workload.Options{
				Argv:      []string{"sh", "-c", `echo "$NOTIFY_SOCKET"; exec sleep 1000`},
				Stdout:    out.File,
				Readiness: workload.Readiness{Notify: true},
			})
			Eventually(out.lines).Should(HaveLen(1))
			socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(syscall.Close, socket)
			to := &syscall.SockaddrUnix{Name: out.lines()[0]}
			before := len(descriptors(os.Getpid()))
			for range 100 {
				Expect(syscall.Sendmsg(socket, []byte("FDSTORE=1"), syscall.UnixRights(0, 1, 2), to, 0)).To(Succeed())
			}
			Expect(syscall.Sendmsg(socket, []byte("READY=1"), nil, to, 0)).To(Succeed())
			Eventually(ready(w)).Should(BeTrue())
			Expect(descriptors(os.Getpid())).To(HaveLen(before))
		})

		It("has another socket in each run", func() {
			out := newOutput()
			w := create(workload.Options{
				Argv: []string{"sh", "-c", `echo "$NOTIFY_SOCKET"`}, Stdout: out.File, Readiness: workload.Readiness{Notify: true},
			})
			for range 2 {
				Expect(w.Start()).To(Succeed())
				Eventually(ended(w)).Should(BeTrue())
			}
			Expect(out.lines()).To(HaveLen(2))
			Expect(out.lines()[0]).NotTo(Equal(out.lines()[1]))
		})
	})

	Describe("auto", func() {
		rule := func() workload.Readiness {
			return quick(workload.Readiness{AfterAuto: true, After: time.Hour})
		}

		DescribeTable("is a listening socket of the workload",
			func(address string) {
				w, out := started(workload.Options{Argv: self("listen", address), Readiness: rule()})
				Eventually(ready(w)).Should(BeTrue())
				Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
				Eventually(out.text).Should(ContainSubstring("closed"))
				Eventually(ready(w)).Should(BeFalse())
				Expect(w.State().NotReadyReason).To(Equal("no process of the workload listens on a TCP port"))
			},
			Entry("on IPv4", "127.0.0.1:0"),
			Entry("on IPv6", "[::1]:0"),
		)

		It("is one of a descendant", func() {
			argv := append([]string{"sh", "-c", `"$@" & wait`, "sh"}, self("listen", "127.0.0.1:0")...)
			w := start(workload.Options{Argv: argv, Readiness: rule()})
			Eventually(ready(w)).Should(BeTrue())
		})

		It("is not one of anybody else", func() {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(listener.Close)
			w, _ := started(workload.Options{Argv: self("trap"), Readiness: rule()})
			Eventually(reason(w)).ShouldNot(Equal("starting"))
			Consistently(ready(w), "100ms").Should(BeFalse())
		})

		It("is not one that it was started with", func() {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(listener.Close)
			file, err := listener.(*net.TCPListener).File()
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(file.Close)
			w, _ := started(workload.Options{Argv: self("trap"), Stdin: file, Readiness: rule()})
			Eventually(reason(w)).Should(ContainSubstring("those that it was started with"))
			Expect(w.State().Ready).To(BeFalse())
		})

		It("follows a workload that listens only after it was taken for ready", func() {
			log := gbytes.NewBuffer()
			r := rule()
			r.After = time.Millisecond
			address := simulator.FreeAddress()
			w, out := started(workload.Options{Argv: self("late", address), Readiness: r, Logger: logger(log)})
			Eventually(ready(w)).Should(BeTrue())
			Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
			Eventually(out.text).Should(ContainSubstring("listening"))
			Eventually(log).Should(gbytes.Say("workload listens only now"))
			Expect(w.Signal(syscall.SIGUSR1)).To(Succeed())
			Eventually(ready(w)).Should(BeFalse())
		})

		It("is to be alive long enough otherwise", func() {
			r := rule()
			r.After = 100 * time.Millisecond
			w := start(workload.Options{Argv: self("trap"), Readiness: r})
			Eventually(ready(w)).Should(BeTrue())
			Expect(w.State().ReadySince).To(BeTemporally(">=", w.State().Started.Add(r.After)))
			Consistently(ready(w), "50ms").Should(BeTrue())
		})
	})
})
