package endpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/endpoint"
)

const patience = 20 * time.Second

// answering answers at once, but for /events, which it follows until it is told
// to end.
var answering = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "ok\n")
	if r.URL.Path == "/events" {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
})

func serve(l net.Listener, o Options) {
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Handler == nil {
		o.Handler = answering
	}
	DeferCleanup(Serve(l, o))
}

func listen() net.Listener {
	GinkgoHelper()
	l, err := Listen(context.Background(), "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	return l
}

// connect connects and sends a text.
func connect(l net.Listener, text string) net.Conn {
	GinkgoHelper()
	var conn net.Conn
	var err error
	Eventually(func() error { // the queue of a Unix socket may be full for a moment
		conn, err = net.DialTimeout(l.Addr().Network(), l.Addr().String(), patience)
		return err
	}, patience, "5ms").Should(Succeed())
	DeferCleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
	return conn
}

// answer is the status of an answer, or why there is none.
func answer(conn net.Conn) string {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// over reports whether the other side has closed the connection.
func over(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	var slow net.Error
	return !errors.As(err, &slow) || !slow.Timeout()
}

const (
	ready  = "GET /readyz HTTP/1.0\r\n\r\n"
	follow = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
	begun  = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nX-A: "
)

var _ = Describe("A listener", func() {
	DescribeTable("has room for a few connections, and always for one more", func(text string) {
		const most = 4
		l := listen()
		serve(l, Options{Most: most})
		var all []net.Conn
		for range 3 * most {
			all = append(all, connect(l, text))
			Expect(answer(connect(l, ready))).To(Equal("HTTP/1.0 200 OK"))
		}
		for _, conn := range all[:2*most] {
			Expect(over(conn)).To(BeTrue())
		}
	},
		Entry("when others follow and never read", follow),
		Entry("when others send headers without an end", begun),
		Entry("when others send a body without an end", "POST /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"),
		Entry("when others keep their connection", "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	)

	It("turns out the connection whose last request is the longest ago", func() {
		l := listen()
		serve(l, Options{Most: 3})
		kept := connect(l, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		again := func() string {
			_ = kept.SetReadDeadline(time.Now().Add(patience))
			r, err := http.ReadResponse(bufio.NewReader(kept), nil)
			if err != nil {
				return err.Error()
			}
			defer func() { _ = r.Body.Close() }()
			_, _ = io.Copy(io.Discard, r.Body)
			return r.Status
		}
		Expect(again()).To(Equal("200 OK"))
		for range 10 {
			Expect(answer(connect(l, follow))).To(Equal("HTTP/1.1 200 OK"))
			_, _ = io.WriteString(kept, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			Expect(again()).To(Equal("200 OK"))
		}
	})

	It("leaves descriptors for everything else", func() {
		for limit, most := range map[uint64]int{0: 4, 32: 4, 64: 4, 80: 5, 128: 21, 256: 64, 1024: 64, 1 << 40: 64} {
			Expect(Most(limit)).To(Equal(most), "%d", limit)
			if limit >= 80 {
				Expect(limit-2*uint64(most)).To(BeNumerically(">=", 64), "%d", limit)
			}
		}
	})

	It("answers a header of a usual size, and none of any size", func() {
		l := listen()
		serve(l, Options{})
		Expect(answer(connect(l, "GET /readyz HTTP/1.0\r\nCookie: "+strings.Repeat("x", 4<<10)+"\r\n\r\n"))).To(Equal("HTTP/1.0 200 OK"))
		Expect(answer(connect(l, "GET /readyz HTTP/1.0\r\nCookie: "+strings.Repeat("x", 14<<10)+"\r\n\r\n"))).To(HavePrefix("HTTP/1.1 431"))
	})
})

// pipes is a listener of connections within this process, for virtual time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), over: make(chan struct{})} }

func (p *pipes) connect() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.over) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

var _ = Describe("Nobody holds up", func() {
	virtually := func(what func(l *pipes), h http.HandlerFunc) {
		suite.Run("virtual time", func(t *testing.T) {
			synctest.Test(t, func(*testing.T) {
				defer GinkgoRecover()
				l := newPipes()
				end := Serve(l, Options{Handler: h, Logger: slog.New(slog.DiscardHandler)})
				defer end()
				what(l)
			})
		})
	}
	quick := func(http.ResponseWriter, *http.Request) {}

	It("a header", func() {
		virtually(func(l *pipes) {
			began := time.Now()
			conn := l.connect()
			_, _ = io.WriteString(conn, begun)
			_, err := io.Copy(io.Discard, conn)
			Expect(err).NotTo(HaveOccurred())
			Expect(time.Since(began)).To(Equal(5 * time.Second))
		}, quick)
	})

	It("a body", func() {
		virtually(func(l *pipes) {
			began := time.Now()
			conn := l.connect()
			_, _ = io.WriteString(conn, "POST /defer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
			_, _ = io.Copy(io.Discard, conn)
			Expect(time.Since(began)).To(BeNumerically("<=", 6*time.Second))
		}, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			Expect(err).To(HaveOccurred())
		})
	})

	It("a write", func() {
		virtually(func(l *pipes) {
			began := time.Now()
			conn := l.connect()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			_, _ = conn.Read(make([]byte, 1)) // and then no more
			synctest.Wait()
			time.Sleep(WriteWithin)
			synctest.Wait()
			_, err := io.Copy(io.Discard, conn)
			Expect(err).NotTo(HaveOccurred(), "closed")
			Expect(time.Since(began)).To(Equal(WriteWithin))
		}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
		})
	})
})

var _ = Describe("The name that is asked for", func() {
	names := Names("status.example.com:8090", "Main", "0123abcdef", []string{"Proxy.example.org"})

	DescribeTable("is this instance's", func(host string) {
		Expect(IsOurs(names, host)).To(BeTrue())
	},
		Entry("none", ""), Entry("localhost", "localhost"), Entry("below localhost", "a.localhost:80"),
		Entry("an IPv4 address", "127.0.0.1"), Entry("with a port", "192.168.1.2:8090"), Entry("an IPv6 address", "[::1]"),
		Entry("with a port", "[fe80::1]:8090"), Entry("with a zone", "[fe80::1%25eth0]:8090"),
		Entry("the service's", "main:8090"), Entry("a container's", "main_1_2_abc"),
		Entry("that of status.listen", "status.example.com"), Entry("the same with a dot at the end", "STATUS.example.com.:80"),
		Entry("the device's public URL", "0123abcdef.balena-devices.com"),
		Entry("its name in the local network", "0123abc.local:8090"), Entry("one of status.names", "proxy.example.org"),
	)

	DescribeTable("is not", func(host string) {
		Expect(IsOurs(names, host)).To(BeFalse())
	},
		Entry("anybody's", "evil.example"), Entry("with a port", "evil.example:8090"), Entry("one with a dot at the end", "evil.example."),
		Entry("below one of its own", "main.evil.example"), Entry("that looks like an address", "127.0.0.1.nip.io"),
		Entry("that ends like one of its own", "xstatus.example.com"), Entry("another device's", "9999.balena-devices.com"),
		Entry("nonsense", "[::1].evil.example"), Entry("more nonsense", "a:b:c"),
	)

	It("decides whether there is an answer, over TCP", func() {
		l := listen()
		serve(l, Options{Names: names})
		ask := func(path, host string) (*http.Response, string) {
			r, err := http.ReadResponse(bufio.NewReader(connect(l, "GET "+path+" HTTP/1.1\r\nConnection: close\r\nHost: "+host+"\r\n\r\n")), nil)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = r.Body.Close() }()
			text, _ := io.ReadAll(r.Body)
			return r, string(text)
		}
		r, text := ask("/status", "localhost")
		Expect(r.StatusCode).To(Equal(http.StatusOK))
		Expect(text).To(Equal("ok\n"))
		for _, path := range []string{"/readyz", "/healthz"} {
			r, _ = ask(path, "evil.example")
			Expect(r.StatusCode).To(Equal(http.StatusOK), "a load balancer may ask by any name")
		}
		r, text = ask("/status", "evil.example")
		Expect(r.StatusCode).To(Equal(http.StatusMisdirectedRequest))
		Expect(r.Header.Get("X-Content-Type-Options")).To(Equal("nosniff"))
		Expect(text).To(And(ContainSubstring("status.example.com"), ContainSubstring("status.names")))
	})

	It("is any, if status.names says so", func() {
		Expect(Names("", "", "", []string{"a.example", "*"})).To(BeNil())
	})
})

var _ = Describe("The lines of net/http itself", func() {
	It("go into the log, once a minute", func() {
		var out bytes.Buffer
		log := slog.NewLogLogger(NewSparing(slog.NewJSONHandler(&out, nil)), slog.LevelWarn)
		suite.Run("virtual time", func(t *testing.T) {
			synctest.Test(t, func(*testing.T) {
				for i := range 100 {
					log.Printf("http: Accept error: %d", i)
				}
				time.Sleep(time.Minute)
				log.Print("http: something else")
			})
		})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		Expect(lines).To(HaveLen(2))
		Expect(lines[0]).To(And(HavePrefix("{"), ContainSubstring("Accept error: 0"), ContainSubstring(`"level":"WARN"`)))
		Expect(lines[1]).To(ContainSubstring(`"keptBackBefore":99`))
	})
})

var _ = Describe("On the socket", func() {
	It("connections of other users give way to those of root and of this one", func() {
		asRoot()
		const most = 8
		l, err := Open(filepath.Join(openDir(), "sock"))
		Expect(err).NotTo(HaveOccurred())
		serve(l, Options{Most: most})
		var own []net.Conn
		for range most/2 - 1 { // and one to ask
			conn := connect(l, follow)
			Expect(answer(conn)).To(Equal("HTTP/1.1 200 OK"))
			own = append(own, conn)
		}
		crowd := start("crowd", nobody, l.Path())
		Eventually(crowd.said, patience).Should(ContainSubstring("closed"))
		for range 10 {
			Expect(answer(connect(l, ready))).To(Equal("HTTP/1.0 200 OK"))
		}
		for _, conn := range own {
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := io.Copy(io.Discard, conn)
			Expect(err).To(MatchError(ContainSubstring("timeout")), "it is still there")
		}
	})
})

// crowd connects again and again, and says so when the first one was closed.
func crowd(path string) int {
	said := false
	for {
		conn, err := net.Dial("unix", path)
		if err != nil {
			continue
		}
		_, _ = io.WriteString(conn, begun)
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			if !said {
				said = true
				fmt.Println("closed")
			}
		}()
	}
}

// failing is a listener that cannot accept for a while, for want of memory.
type failing struct {
	net.Listener
	times int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.times > 0 {
		l.times--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.ENOMEM}
	}
	return l.Listener.Accept()
}

var _ = Describe("Want of memory for a connection", func() {
	It("does not end the listener", func() {
		l := listen()
		serve(&failing{l, 3}, Options{})
		conn := connect(l, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		Expect(err).NotTo(HaveOccurred())
		_ = answer.Body.Close()
		Expect(answer.StatusCode).To(Equal(200))
	})
})
