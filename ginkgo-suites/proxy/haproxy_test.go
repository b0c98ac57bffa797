package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// proxy is an HAProxy in front of a device's containers.
type proxy struct {
	names *nameServer
	url   string
	log   *log
}

// startProxy starts HAProxy with the example's file. It finds the containers
// that list names.
func startProxy(d *device, list func() []netip.Addr) *proxy {
	GinkgoHelper()
	listen := freePort()
	p := &proxy{names: newNameServer(d.example.service, list), url: fmt.Sprintf("http://127.0.0.1:%d/", listen), log: &log{}}
	path := filepath.Join(GinkgoT().TempDir(), "haproxy.cfg")
	Expect(os.WriteFile(path, []byte(d.example.adapted(p.names.address(), listen, d.ports)), 0o600)).To(Succeed())
	out, err := exec.Command("haproxy", "-c", "-f", path).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)

	cmd := exec.Command("haproxy", "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	Expect(cmd.Start()).To(Succeed())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	DeferCleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if CurrentSpecReport().Failed() {
			fmt.Fprintf(GinkgoWriter, "--- haproxy\n%s\n", p.log)
		}
	})
	Eventually(func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", listen))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}, patience, 20*time.Millisecond).Should(Succeed(), "%s", p.log)
	return p
}

// servedBy asks through the proxy who answers, empty if nobody does.
func (p *proxy) servedBy() string {
	answer, err := client.Get(p.url)
	if err != nil {
		return ""
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 200 {
		return ""
	}
	return answer.Header.Get(demo.ServedBy)
}

// load begins a steady load through the proxy, which ends with the spec at the
// latest.
func (p *proxy) load() *demo.Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := demo.StartLoad(ctx, demo.LoadOptions{URL: p.url, PerSecond: 100, LongPerSecond: 2})
	DeferCleanup(func() {
		cancel()
		l.Stop()
	})
	return l
}
