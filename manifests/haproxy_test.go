package manifests_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const haproxyPath = "proxy/haproxy/haproxy.cfg"

// haproxy is what an haproxy.cfg says about finding containers and losing them.
type haproxy struct {
	listens, checkPort string
	name, port         string // of the service
	resolve            time.Duration
	inter, check       time.Duration
	rise, fall         int
}

// finds is how long a container that is ready can stay unknown.
func (p haproxy) finds() time.Duration { return p.resolve + time.Duration(p.rise)*p.inter + p.check }

// loses is how long a container can be used that is not ready any more.
func (p haproxy) loses() time.Duration { return time.Duration(p.fall)*p.inter + p.check }

// parseHAProxy reads what an haproxy.cfg says; all of it must be said once.
func parseHAProxy(text string) (haproxy, faults) {
	var p haproxy
	var f faults
	text = regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(text, "")
	find := func(form string, into ...*string) {
		all := regexp.MustCompile(`(?m)^\s*`+form+`(?:\s|$)`).FindAllStringSubmatch(text, -1)
		if len(all) != 1 {
			f.add("haproxy.cfg says %d times: %s", len(all), form)
			return
		}
		for i, v := range into {
			*v = all[0][i+1]
		}
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			f.add("haproxy.cfg: %v", err)
		}
		return n
	}
	duration := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			f.add("haproxy.cfg: %v", err)
		}
		return d
	}
	var resolve, check, inter, rise, fall, template string
	find(`nameserver \S+ 127\.0\.0\.11:53`)
	find(`timeout resolve (\S+)`, &resolve)
	find(`timeout check (\S+)`, &check)
	find(`bind :(\d+)`, &p.listens)
	find(`http-check send meth GET uri /readyz`)
	find(`http-check expect status 200`)
	find(`default-server check port (\d+) inter (\S+) fall (\d+) rise (\d+)`, &p.checkPort, &inter, &fall, &rise)
	find(`default-server resolvers docker resolve-prefer ipv4 init-addr none`)
	find(`server-template \S+ (\d+) ([^:\s]+):(\d+)`, &template, &p.name, &p.port)
	if len(f) > 0 {
		return p, f
	}
	p.resolve, p.check, p.inter = duration(resolve), duration(check), duration(inter)
	p.rise, p.fall = number(rise), number(fall)
	if number(template) < 3 {
		f.add("haproxy.cfg has no room for an update in the middle of a hand-over")
	}
	return p, f
}

// checkHAProxyExplained is which blocks of directives have no comment.
func checkHAProxyExplained(text string) faults {
	var f faults
	for _, block := range strings.Split(text, "\n\n") {
		if !strings.Contains(block, "# ") {
			f.add("has no comment: %s", block)
		}
	}
	return f
}

var _ = Describe("haproxy.cfg", func() {
	It("is what HAProxy accepts", func() {
		path, err := exec.LookPath("haproxy")
		if err != nil {
			Skip("haproxy is not installed (Debian package haproxy)")
		}
		out, err := exec.Command(path, "-c", "-f", haproxyPath).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(string(out)).NotTo(ContainSubstring("WARNING"))
	})

	It("says why it says what", func() {
		Expect(checkHAProxyExplained(read(haproxyPath))).To(BeEmpty())
		Expect(checkHAProxyExplained("global\n    maxconn 1\n")).NotTo(BeEmpty())
	})

	DescribeTable("would be found out if it said something else than the compose file",
		func(old, replacement, fault string) {
			file, err := parseCompose(read("proxy/docker-compose.yml"))
			Expect(err).NotTo(HaveOccurred())
			settings := configs(file)
			Expect(checkBehind(file, settings, read(haproxyPath))).To(BeEmpty())
			text := broken(read(haproxyPath), old, replacement)
			Expect(checkBehind(file, settings, text)).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("another service", " main:8080", " front:8080", "HAProxy sends to front"),
		Entry("another port of the service", " main:8080", " main:80", "port 80,"),
		Entry("another port of the check", "check port 9155", "check port 9000", "HAProxy asks on port 9000"),
		Entry("another page", "uri /readyz", "uri /healthz", "says 0 times"),
		Entry("another status", "expect status 200", "expect status 200-399", "says 0 times"),
		Entry("another port to listen on", "bind :8080", "bind :80", "HAProxy listens on 80"),
		Entry("another name server", "127.0.0.11:53", "127.0.0.1:53", "says 0 times"),
		Entry("names looked up seldom", "timeout resolve 1s", "timeout resolve 10s", "policy.settle is 3s"),
		Entry("rare checks", "inter 500ms", "inter 5s", "policy.drain_delay is 3s"),
		Entry("slow checks", "timeout check 500ms", "timeout check 5s", "policy.settle is 3s"),
		Entry("many failed checks", "fall 2", "fall 10", "policy.drain_delay is 3s"),
		Entry("many good checks", "rise 1", "rise 10", "policy.settle is 3s"),
		Entry("no unit", "inter 500ms", "inter 500", "missing unit"),
		Entry("names at start only", " init-addr none", "", "says 0 times"),
		Entry("room for two", "server-template main 4", "server-template main 2", "no room"),
	)
})
