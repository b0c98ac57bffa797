package demo_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// child is the service in a process of its own.
type child struct {
	cmd     *exec.Cmd
	out     *gbytes.Buffer
	address string
}

// startService starts it and waits until it listens.
func startService(extra ...string) *child {
	GinkgoHelper()
	path, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	c := &child{cmd: exec.Command(path), out: gbytes.NewBuffer(), address: simulator.FreeAddress()}
	c.cmd.Env = append(append(os.Environ(), "DEMO_TEST_ROLE=service", demo.VariableAddress+"="+c.address), extra...)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	Expect(c.cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	Eventually(c.out).Should(gbytes.Say("listens on"))
	return c
}

// exit waits for the process and returns its exit status.
func (c *child) exit() int {
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// get returns status, X-Served-By and body.
func get(url string) (int, string, string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return 0, "", err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", err.Error()
	}
	return answer.StatusCode, answer.Header.Get(demo.ServedBy), string(body)
}

func status(url string) func() int {
	return func() int {
		code, _, _ := get(url)
		return code
	}
}

var _ = Describe("The service", func() {
	It("listens at once, is ready later, and says its name", func() {
		c := startService(demo.VariableName+"=B", demo.VariableReadyAfter+"=300ms")
		url := "http://" + c.address
		Eventually(status(url + "/ready")).Should(Equal(200))
		code, name, body := get(url + "/?takes=1ms")
		Expect(code).To(Equal(200), body)
		Expect(name).To(Equal("B"))
		Expect(body).To(Equal("B\n"))
		Expect(status(url + "/?takes=2m")()).To(Equal(400))
		Expect(status(url + "/?takes=soon")()).To(Equal(400))
		Expect(status(url + "/other")()).To(Equal(404))
	})

	It("answers 503 while it is not ready", func() {
		c := startService(demo.VariableReadyAfter + "=" + demo.Never)
		Expect(status("http://" + c.address + "/ready")()).To(Equal(503))
		code, name, _ := get("http://" + c.address + "/")
		Expect(code).To(Equal(503))
		Expect(name).To(Equal("A"))
	})

	It("finishes what is in flight on SIGTERM, and accepts no more", func() {
		c := startService()
		type result struct {
			code int
			body string
		}
		var done chan result // of the request that is in flight
		Eventually(func() string {
			if done == nil || len(done) > 0 { // on a busy machine one may end unseen
				ask := make(chan result, 1)
				done = ask
				go func() {
					code, _, body := get("http://" + c.address + "/?takes=600ms")
					ask <- result{code, body}
				}()
			}
			_, _, body := get("http://" + c.address + "/ready")
			return body
		}).Should(Equal("ready, 1 in flight\n"))
		Expect(c.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Eventually(c.out).Should(gbytes.Say("told to stop"))
		Eventually(func() error {
			conn, err := net.Dial("tcp", c.address)
			if err == nil {
				conn.Close()
			}
			return err
		}).Should(HaveOccurred())
		Expect(c.exit()).To(Equal(0), string(c.out.Contents()))
		Eventually(done).Should(Receive(Equal(result{200, "A\n"})))
	})

	It("answers also what it had no time to read before SIGTERM", func() {
		c := startService()
		Expect(c.cmd.Process.Signal(syscall.SIGSTOP)).To(Succeed())
		const requests = 50
		asked := make([]net.Conn, requests)
		for i := range asked {
			var err error
			asked[i], err = net.Dial("tcp", c.address)
			Expect(err).NotTo(HaveOccurred())
			defer asked[i].Close()
			_, err = io.WriteString(asked[i], "GET /?takes=1ms HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(c.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Expect(c.cmd.Process.Signal(syscall.SIGCONT)).To(Succeed())
		for _, conn := range asked {
			text, err := io.ReadAll(conn)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(text)).To(HavePrefix("HTTP/1.1 200 OK"))
		}
		Expect(c.exit()).To(Equal(0), string(c.out.Contents()))
	})

	It("crashes when it is to", func() {
		c := startService(demo.VariableCrashAfter + "=1ms")
		Expect(c.exit()).To(Equal(1))
	})

	It("ends with its context, too", func() {
		ctx, cancel := context.WithCancel(context.Background())
		environment := map[string]string{demo.VariableAddress: "127.0.0.1:0"}
		ended := make(chan int, 1)
		out := gbytes.NewBuffer()
		go func() {
			ended <- demo.Service(ctx, func(name string) string { return environment[name] }, out, out)
		}()
		Eventually(out).Should(gbytes.Say("listens on 127.0.0.1:"))
		cancel()
		Eventually(ended).Should(Receive(Equal(0)))
	})

	DescribeTable("refuses what it does not understand",
		func(name, value, text string) {
			environment := map[string]string{demo.VariableAddress: "127.0.0.1:0", name: value}
			var out, errors bytes.Buffer
			Expect(demo.Service(context.Background(), func(name string) string { return environment[name] }, &out, &errors)).To(Equal(64))
			Expect(errors.String()).To(ContainSubstring(name + " is "))
			Expect(errors.String()).To(ContainSubstring(text))
			Expect(out.String()).To(BeEmpty())
		},
		Entry("no address", demo.VariableAddress, "", "127.0.0.1:8080"),
		Entry("an address that is not on loopback", demo.VariableAddress, "0.0.0.0:80", `"0.0.0.0:80"`),
		Entry("a name", demo.VariableAddress, "localhost:80", "loopback address"),
		Entry("a name that is no header", demo.VariableName, "A\nB", `"A\nB"`),
		Entry("a duration without a unit", demo.VariableReadyAfter, "5", "such as 1.5s, or never"),
		Entry("a negative duration", demo.VariableReadyAfter, "-5s", `"-5s"`),
		Entry("no time to a crash", demo.VariableCrashAfter, "0s", "above 0s"),
	)

	It("says when the port is taken", func() {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		defer taken.Close()
		environment := map[string]string{demo.VariableAddress: taken.Addr().String()}
		var out, errors bytes.Buffer
		Expect(demo.Service(context.Background(), func(name string) string { return environment[name] }, &out, &errors)).To(Equal(1))
		Expect(errors.String()).To(ContainSubstring(demo.VariableAddress))
	})
})
