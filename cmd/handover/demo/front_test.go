package demo_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// every is the pause between checks in these specs.
const every = 5 * time.Millisecond

func newFront(o demo.FrontOptions) *demo.Front {
	GinkgoHelper()
	o.CheckEvery = every
	f, err := demo.NewFront(o)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Close)
	return f
}

// instance is a backend inside the test.
type instance struct {
	name    string
	address string
	good    atomic.Bool // what its check says
	served  atomic.Int32
	server  *http.Server
}

// newInstance serves with the handler, or with its own name.
func newInstance(name string, handler http.HandlerFunc) *instance {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	i := &instance{name: name, address: listener.Addr().String()}
	i.good.Store(true)
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
	}
	i.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.served.Add(1)
		w.Header().Set(demo.ServedBy, name)
		handler(w, r)
	})}
	var running sync.WaitGroup
	running.Go(func() { _ = i.server.Serve(listener) })
	DeferCleanup(func() {
		i.server.Close()
		running.Wait()
	})
	return i
}

func (i *instance) backend() demo.Backend {
	return demo.Backend{Name: i.name, Address: i.address, Check: func(context.Context) bool { return i.good.Load() }}
}

// raw is a backend that does to each connection what it is told, after it has
// read the request's first bytes.
func raw(name string, do func(*net.TCPConn)) demo.Backend {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			do(conn.(*net.TCPConn))
			conn.Close()
		}
	})
	DeferCleanup(func() {
		listener.Close()
		running.Wait()
	})
	return demo.Backend{Name: name, Address: listener.Addr().String(), Check: always}
}

func always(context.Context) bool { return true }

var _ = Describe("The front", func() {
	reasons := func(f *demo.Front) []demo.ReasonCount { return f.Log().Summary().Reasons }

	It("fails at once while nobody is ready", func() {
		f := newFront(demo.FrontOptions{})
		a := newInstance("A", nil)
		a.good.Store(false)
		f.Add(a.backend())
		code, _, body := get(f.URL())
		Expect(code).To(Equal(503))
		Expect(body).To(ContainSubstring("nobody ready"))
		s := f.Log().Summary()
		Expect(s.Total).To(Equal(1))
		Expect(s.Nobody).To(Equal(1))
		Expect(s.Backends).To(BeEmpty())
		Expect(a.served.Load()).To(BeZero())
	})

	It("sends requests to those who are ready, to one after the other", func() {
		f := newFront(demo.FrontOptions{})
		for _, name := range []string{"A", "B", "C"} {
			i := newInstance(name, nil)
			i.good.Store(name != "C")
			f.Add(i.backend())
		}
		Eventually(f.Ready).Should(ConsistOf("A", "B"))
		_, first, _ := get(f.URL())
		for range 3 {
			_, other, _ := get(f.URL())
			Expect(other).NotTo(Equal(first))
			Expect([]string{"A", "B"}).To(ContainElement(other))
			_, again, _ := get(f.URL())
			Expect(again).To(Equal(first))
		}
		s := f.Log().Summary()
		Expect(s.Failed).To(BeZero())
		Expect(s.Backends).To(HaveLen(2))
	})

	It("sends nothing more to one whose check fails, and finishes what is in flight", func() {
		begun, finish := make(chan struct{}), make(chan struct{})
		f := newFront(demo.FrontOptions{})
		a := newInstance("A", func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-finish
		})
		b := newInstance("B", nil)
		f.Add(a.backend())
		Eventually(f.Ready).Should(ConsistOf("A"))
		slow := make(chan int, 1)
		go func() { slow <- status(f.URL())() }()
		<-begun
		f.Add(b.backend())
		a.good.Store(false)
		Eventually(f.Ready).Should(ConsistOf("B"))
		for range 5 {
			_, name, _ := get(f.URL())
			Expect(name).To(Equal("B"))
		}
		close(finish)
		Eventually(slow).Should(Receive(Equal(200)))
		Expect(a.served.Load()).To(BeEquivalentTo(1))
		Expect(f.Log().Summary().Failed).To(BeZero())
	})

	It("passes the request on as it is, and the answer", func() {
		f := newFront(demo.FrontOptions{})
		a := newInstance("A", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Seen", r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Sent")+string(body))
			w.WriteHeader(http.StatusCreated)
		})
		f.Add(a.backend())
		Eventually(f.Ready).ShouldNot(BeEmpty())
		r, err := http.NewRequest(http.MethodPut, f.URL()+"/path?takes=1s", http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("X-Sent", "this")
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		Expect(answer.StatusCode).To(Equal(201))
		Expect(answer.Header.Get("X-Seen")).To(Equal("PUT /path?takes=1s this"))
		Expect(f.Log().Summary().Failed).To(BeZero())
	})

	DescribeTable("counts one failure for each request that a backend fails, and tries none twice",
		func(do func(*net.TCPConn), reason string) {
			o := demo.FrontOptions{}
			if reason == "no answer in time" {
				o.Timeout = 50 * time.Millisecond
			}
			f := newFront(o)
			f.Add(raw("A", do))
			Eventually(f.Ready).ShouldNot(BeEmpty())
			for range 3 {
				Expect(status(f.URL())()).To(Equal(502))
			}
			Expect(reasons(f)).To(Equal([]demo.ReasonCount{{Reason: reason, Count: 3}}))
			Expect(f.Log().Summary().Total).To(Equal(3))
			Expect(f.Ready()).To(ConsistOf("A"), "only its check makes it unready")
		},
		Entry("it ends the connection", func(*net.TCPConn) {}, "connection ended without an answer"),
		Entry("it resets the connection", func(c *net.TCPConn) { _ = c.SetLinger(0) }, "connection reset"),
		Entry("it breaks off", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}, "answer broken off"),
		Entry("it talks nonsense", func(c *net.TCPConn) { _, _ = io.WriteString(c, "nonsense\r\n\r\n") }, "connection failed"),
		Entry("it says nothing", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }, "no answer in time"),
		Entry("it never ends", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			_, _ = c.Read(make([]byte, 1))
		}, "no answer in time"),
	)

	It("counts a refused connection, and a status other than 2xx", func() {
		f := newFront(demo.FrontOptions{})
		f.Add(demo.Backend{Name: "A", Address: simulator.FreeAddress(), Check: always})
		Eventually(f.Ready).ShouldNot(BeEmpty())
		Expect(status(f.URL())()).To(Equal(502))
		f.Remove("A")
		f.Add(newInstance("B", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }).backend())
		Eventually(f.Ready).Should(ConsistOf("B"))
		Expect(status(f.URL())()).To(Equal(418))
		Expect(reasons(f)).To(ConsistOf(
			demo.ReasonCount{Reason: "connection refused", Count: 1},
			demo.ReasonCount{Reason: "status 418", Count: 1}))
	})

	It("ends the request to the backend when the client goes away", func() {
		begun, ended := make(chan struct{}), make(chan struct{})
		f := newFront(demo.FrontOptions{})
		f.Add(newInstance("A", func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
		}).backend())
		Eventually(f.Ready).ShouldNot(BeEmpty())
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-begun
			cancel()
		}()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL(), nil)
		Expect(err).NotTo(HaveOccurred())
		_, err = (&http.Transport{}).RoundTrip(r)
		Expect(err).To(HaveOccurred())
		Eventually(ended).Should(BeClosed())
		Eventually(func() []demo.ReasonCount { return reasons(f) }).Should(
			Equal([]demo.ReasonCount{{Reason: "the client went away", Count: 1}}))
	})

	It("says when readiness changes, in order", func() {
		type change struct {
			name  string
			ready bool
		}
		changes := make(chan change, 10)
		var f *demo.Front
		f = newFront(demo.FrontOptions{OnReady: func(name string, ready bool) {
			if name == "A" && !ready {
				f.Remove("B") // it may call back
			}
			changes <- change{name, ready}
		}})
		a, b := newInstance("A", nil), newInstance("B", nil)
		f.Add(a.backend())
		Eventually(changes).Should(Receive(Equal(change{"A", true})))
		f.Add(b.backend())
		Eventually(changes).Should(Receive(Equal(change{"B", true})))
		a.good.Store(false)
		Eventually(changes).Should(Receive(Equal(change{"A", false})))
		Eventually(changes).Should(Receive(Equal(change{"B", false})))
		Expect(f.Ready()).To(BeEmpty())
	})

	It("takes a check that is late for a bad one, as long as another one is good", func() {
		f := newFront(demo.FrontOptions{CheckTimeout: 10 * time.Millisecond})
		// Each check is on time, late, or on time and bad.
		type check struct {
			late, bad atomic.Bool
			checks    atomic.Int32
		}
		add := func(name string) *check {
			c := &check{}
			f.Add(demo.Backend{Name: name, Address: simulator.FreeAddress(), Check: func(ctx context.Context) bool {
				c.checks.Add(1)
				if c.late.Load() {
					<-ctx.Done()
				}
				return !c.bad.Load()
			}})
			return c
		}
		a, b := add("A"), add("B")
		Eventually(f.Ready).Should(ConsistOf("A", "B"))
		a.late.Store(true)
		Eventually(f.Ready).Should(ConsistOf("B"))
		never := add("C") // never was good
		never.bad.Store(true)
		By("sending to all whose last answer was good, while nobody answers in time")
		b.late.Store(true)
		Eventually(f.Ready).Should(ConsistOf("A", "B"))
		By("believing one that says that it is not ready")
		b.bad.Store(true)
		b.late.Store(false)
		Eventually(f.Ready).Should(ConsistOf("A"))
		By("preferring one that answers in time")
		b.bad.Store(false)
		Eventually(f.Ready).Should(ConsistOf("B"))
		By("believing nobody who was never good")
		b.bad.Store(true)
		a.bad.Store(true)
		a.late.Store(false)
		Eventually(f.Ready).Should(BeEmpty())
		never.late.Store(true)
		seen := never.checks.Load()
		Eventually(never.checks.Load).Should(BeNumerically(">", seen+3))
		Expect(f.Ready()).To(BeEmpty())
	})

	It("checks a URL", func() {
		var code atomic.Int32
		a := newInstance("A", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) })
		check := demo.CheckURL("http://" + a.address + "/ready")
		code.Store(200)
		Expect(check(context.Background())).To(BeTrue())
		code.Store(503)
		Expect(check(context.Background())).To(BeFalse())
		a.server.Close()
		Expect(check(context.Background())).To(BeFalse())
	})

	It("fails what is in flight when it is closed, and answers no more", func() {
		begun := make(chan struct{})
		f := newFront(demo.FrontOptions{})
		f.Add(newInstance("A", func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
		}).backend())
		Eventually(f.Ready).ShouldNot(BeEmpty())
		got := make(chan int, 1)
		go func() { got <- status(f.URL())() }()
		<-begun
		Expect(f.Close()).To(Succeed())
		Eventually(got).Should(Receive())
		Expect(reasons(f)).To(Equal([]demo.ReasonCount{{Reason: "the front was closed", Count: 1}}))
		Expect(status(f.URL())()).To(BeZero())
		f.Add(newInstance("B", nil).backend())
		Expect(f.Ready()).To(BeEmpty())
	})
})
