package proxy_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
)

// example is what the files of manifests/proxy say, but for names and ports.
type example struct {
	service        string // the one that hands over
	variables      map[string]string
	grace, timeout time.Duration
	haproxy        string // haproxy.cfg
}

func readExample() example {
	GinkgoHelper()
	folder := filepath.Join("..", "..", "manifests", "proxy")
	text, err := os.ReadFile(filepath.Join(folder, "docker-compose.yml"))
	Expect(err).NotTo(HaveOccurred())
	var file struct {
		Services map[string]struct {
			StopGracePeriod string `yaml:"stop_grace_period"`
			Labels          map[string]string
			Environment     map[string]string
		}
	}
	Expect(yaml.Unmarshal(text, &file)).To(Succeed())
	var e example
	for name, s := range file.Services {
		if s.Labels["io.balena.update.strategy"] != "hand-over" {
			continue
		}
		Expect(e.service).To(BeEmpty(), "one service hands over")
		e.service, e.variables = name, s.Environment
		e.grace, err = time.ParseDuration(s.StopGracePeriod)
		Expect(err).NotTo(HaveOccurred())
		ms, err := strconv.Atoi(s.Labels["io.balena.update.handover-timeout"])
		Expect(err).NotTo(HaveOccurred())
		e.timeout = time.Duration(ms) * time.Millisecond
	}
	Expect(e.service).NotTo(BeEmpty())
	text, err = os.ReadFile(filepath.Join(folder, "haproxy", "haproxy.cfg"))
	Expect(err).NotTo(HaveOccurred())
	e.haproxy = string(text)
	return e
}

// environ is the service's environment.
func (e example) environ() []string {
	var all []string
	for k, v := range e.variables {
		all = append(all, k+"="+v)
	}
	return all
}

// adapted is haproxy.cfg with another name server, other ports and a host to
// listen on. Each must be said once.
func (e example) adapted(nameServer string, listen int, p ports) string {
	GinkgoHelper()
	text := e.haproxy
	for _, change := range [][2]string{
		{" 127.0.0.11:53\n", " " + nameServer + "\n"},
		{"bind :8080\n", "bind 127.0.0.1:" + strconv.Itoa(listen) + "\n"},
		{"check port 9155 ", "check port " + strconv.Itoa(p.status) + " "},
		{" " + e.service + ":8080\n", " " + e.service + ":" + strconv.Itoa(p.service) + "\n"},
	} {
		Expect(strings.Count(text, change[0])).To(Equal(1), "%q", change[0])
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}
