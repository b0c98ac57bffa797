package compose_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	"github.com/sirupsen/logrus"

	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

// invalid are projects that Compose refuses, and what it says of them.
var invalid = map[string]string{
	"invalid": "mapping key \"HANDOVER_LOG_LEVEL\" already defined",
	"grace":   "stop_grace_period",
}

// load reads a compose file as Compose does.
func load(file string) (*types.Project, error) {
	logrus.SetOutput(io.Discard) // it warns of the version
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, filepath.Base(file))}},
		Environment: types.Mapping{"API": "1", "GRACE": "60s", "UID": "1000", "SIGNAL": "SIGTERM", "CHECK": "true", "STRATEGY": "hand-over",
			"TIMEOUT": "60000", "PORT": "1600"},
	}, func(o *loader.Options) {
		o.SetProjectName("project", true)
		o.ResolvePaths = true
	})
}

var _ = Describe("The reader, beside Compose's own", func() {
	It("takes the same out of every compose file", func() {
		compared := 0
		for _, file := range append(projects(), "../../../../manifests/docker-compose.yml") {
			By(file)
			project, err := load(file)
			if message := invalid[filepath.Base(filepath.Dir(file))]; message != "" {
				Expect(err).To(MatchError(ContainSubstring(message)), file)
				continue
			}
			Expect(err).NotTo(HaveOccurred(), file)
			services := compose.Read(file)
			Expect(services).To(HaveLen(len(project.Services)), file)
			for _, s := range services {
				if s.Elsewhere {
					continue
				}
				same(s, project.Services[s.Name], filepath.Dir(file))
				compared++
			}
		}
		Expect(compared).To(BeNumerically(">", 100))
	})

	DescribeTable("takes the same out of less common forms", func(service string) {
		text := "services:\n  s:\n    image: x\n    " + strings.ReplaceAll(service, "\n", "\n    ") + "\nnetworks: {a: {}, b: {}}\nvolumes: {vol: {}}\n"
		file := project(map[string]string{fileName: text})
		loaded, err := load(file)
		Expect(err).NotTo(HaveOccurred())
		services := compose.Read(file)
		Expect(services).To(HaveLen(1))
		same(services[0], loaded.Services["s"], filepath.Dir(file))
	},
		Entry(nil, "labels: {a: 0x10, b: 1.50, c: true, d: ~, e: 1e3, f: '', g: yes, h: 0o17}"),
		Entry(nil, "labels: [a, b=, c=d=e, c=f]"),
		Entry(nil, "environment: {A: 'a $$b', B: 12345678901234567890, C: off, D: 'true'}"),
		Entry(nil, "environment:\n  E: |\n    two\n    lines\n  F: >-\n    one\n    line"),
		Entry(nil, "environment:\n- A=x y\n- B='quoted'\n- C=\n- D=$$1"),
		Entry(nil, "stop_grace_period: 1h2m3s4ms"),
		Entry(nil, "stop_grace_period: 1.5m"),
		Entry(nil, "stop_grace_period: 1d"),
		Entry(nil, "ports: ['80', 8080:80, '127.0.0.1:81:80/udp', '[::1]:82:80', {target: 53, protocol: udp, mode: host}]"),
		Entry(nil, "devices: [/dev/a, '/dev/a:/dev/b', '/dev/a:/dev/e:r', {source: /dev/c, target: /dev/d}]"),
		Entry(nil, "networks: {a: {ipv4_address: 10.0.0.2, mac_address: '02:42:ac:11:65:43'}, b: ~}"),
		Entry(nil, "networks: [a, b]"),
		Entry(nil, "volumes: ['vol:/a', 'vol:/b:ro', /anonymous, {type: tmpfs, target: /t}, {type: volume, source: vol, target: /c/}]"),
		Entry(nil, "tmpfs: /run"),
		Entry(nil, "tmpfs: [/run, '/tmp:size=1m']"),
		Entry(nil, `command: node "my server.js" --a='b c' d\ e ""`),
		Entry(nil, "command: []"),
		Entry(nil, "entrypoint: ''"),
		Entry(nil, "entrypoint: [a, 'b c', '$$d']"),
		Entry(nil, "healthcheck: {test: [NONE]}"),
		Entry(nil, "healthcheck: {disable: true}"),
		Entry(nil, "healthcheck: {test: curl localhost, interval: 5s, retries: 3}"),
		Entry(nil, "build: {target: t, args: {A: b}}"),
		Entry(nil, "build: {context: ./a/../b, dockerfile: c/D}"),
		Entry(nil, "privileged: true\nread_only: false\ninit: true\ntty: true\nstdin_open: true"),
		Entry(nil, "user: '0'\nstop_signal: SIGINT\npid: host\nrestart: on-failure:3\ncontainer_name: cc\nmac_address: 02:42:ac:11:65:43"),
		Entry(nil, "restart: no"),
		Entry(nil, "x-anything: {a: [b]}\nexpose: ['1']\ndepends_on: []"),
	)
})

// same compares one service. Fields with a variable are left out: the reader
// does not know them.
func same(s compose.Service, c types.ServiceConfig, dir string) {
	GinkgoHelper()
	where := "service " + s.Name
	labels := maps.Clone(map[string]string(c.Labels))
	for _, name := range s.UnknownLabels {
		delete(labels, name)
	}
	maps.DeleteFunc(labels, func(name, value string) bool { return value == "" && s.Labels[name] == "" })
	maps.DeleteFunc(s.Labels, func(_, value string) bool { return value == "" })
	Expect(s.Labels).To(equalOrEmpty(labels), where)
	environment := map[string]string{}
	for name, value := range c.Environment {
		if value != nil && !slices.Contains(s.UnknownEnvironment, name) {
			environment[name] = *value
		}
	}
	Expect(s.Environment).To(Equal(environment), where)

	scalars := map[string]string{
		"image": c.Image, "restart": c.Restart, "network_mode": c.NetworkMode, "container_name": c.ContainerName, "pid": c.Pid,
		"user": c.User, "stop_signal": c.StopSignal, "privileged": truth(c.Privileged), "read_only": truth(c.ReadOnly),
		"tty": truth(c.Tty), "stdin_open": truth(c.StdinOpen),
	}
	if c.Init != nil {
		scalars["init"] = fmt.Sprint(*c.Init)
	}
	for name, want := range scalars {
		got := s.Scalars[name]
		if got == "false" && name != "init" {
			got = ""
		}
		if !slices.Contains(s.Unknown, name) {
			Expect(got).To(Equal(want), where+": "+name)
		}
	}
	if c.StopGracePeriod != nil && !slices.Contains(s.Unknown, "stop_grace_period") {
		Expect(s.Grace).To(Equal(time.Duration(*c.StopGracePeriod)), where)
	}
	sameLists(s, c)
	if !slices.Contains(s.Unknown, "context") {
		sameBuild(s, c, dir)
	}
}

func sameLists(s compose.Service, c types.ServiceConfig) {
	GinkgoHelper()
	where := "service " + s.Name
	for name, lists := range map[string][2][]string{
		"entrypoint": {s.Entrypoint, c.Entrypoint}, "command": {s.Command, c.Command},
	} {
		if !slices.Contains(s.Unknown, name) {
			Expect(lists[0]).To(equalOrEmpty(lists[1]), where+": "+name)
		}
	}
	if h := c.HealthCheck; h != nil && !slices.Contains(s.Unknown, "test") {
		disabled := h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE"
		Expect(s.TestDisabled).To(Equal(disabled), where)
		if !disabled {
			Expect(s.Test).To(equalOrEmpty([]string(h.Test)), where)
		}
	} else {
		Expect(s.TestDisabled).To(BeFalse(), where)
	}
	var ports, devices, mounts []string
	for _, p := range c.Ports {
		ports = append(ports, p.Published+":"+strconv.Itoa(int(p.Target))+"/"+p.Protocol)
	}
	Expect(s.Ports).To(ConsistOf(ports), where)
	for _, d := range c.Devices {
		devices = append(devices, d.Source+":"+d.Target+":"+cmp.Or(d.Permissions, "rwm"))
	}
	if !s.UnknownDevices {
		Expect(s.Devices).To(equalOrEmpty(devices), where)
	}
	for _, v := range c.Volumes {
		mounts = append(mounts, v.Type+":"+v.Source+":"+path.Clean(v.Target))
	}
	for _, t := range c.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		mounts = append(mounts, "tmpfs::"+target)
	}
	Expect(s.Mounts).To(ConsistOf(mounts), where)
	networks := map[string][]string{}
	for name, n := range c.Networks {
		networks[name] = nil
		if n == nil {
			continue
		}
		for field, value := range map[string]string{"ipv4_address": n.Ipv4Address, "ipv6_address": n.Ipv6Address, "mac_address": n.MacAddress} {
			// That of a service is moved to its network.
			if value != "" && (field != "mac_address" || s.Scalars["mac_address"] == "") {
				networks[name] = append(networks[name], field+"="+value)
			}
		}
	}
	if len(s.Networks) > 0 { // else Compose says default
		Expect(slices.Sorted(maps.Keys(s.Networks))).To(Equal(slices.Sorted(maps.Keys(networks))), where)
		for name, addresses := range s.Networks {
			Expect(addresses).To(ConsistOf(networks[name]), where)
		}
	}
	Expect(s.DependsOn).To(equalOrEmpty(depends(c)), where)
}

// depends are the services that it depends on by depends_on alone: Compose adds
// that of network_mode.
func depends(c types.ServiceConfig) []string {
	var names []string
	for name := range c.DependsOn {
		if c.NetworkMode != "service:"+name {
			names = append(names, name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

func sameBuild(s compose.Service, c types.ServiceConfig, dir string) {
	GinkgoHelper()
	if c.Build == nil {
		Expect(s.HasB).To(BeFalse())
		return
	}
	if !strings.Contains(s.Context, "://") {
		absolute, err := filepath.Abs(filepath.Join(dir, s.Context))
		Expect(err).NotTo(HaveOccurred())
		Expect(absolute).To(Equal(c.Build.Context))
	}
	dockerfile := s.Dockerfile
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	Expect(dockerfile).To(Equal(c.Build.Dockerfile))
	Expect(s.Target).To(Equal(c.Build.Target))
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// equalOrEmpty takes nil for empty.
func equalOrEmpty(want any) gomegatypes.GomegaMatcher {
	return Or(Equal(want), And(BeEmpty(), WithTransform(func(any) any { return want }, BeEmpty())))
}
