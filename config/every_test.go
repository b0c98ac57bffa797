package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/config"
)

// everyKey gives every key another value than its default. Of the kinds of
// readiness, only one can be set.
const everyKey = `
service:
  app_id: 0123
  name: main
  container_id: 0123456789ABCDEF
  state_dir: /state
  stop_grace_period: 1m
network:
  mode: host
  interface: eth0
  group: 239.1.2.3
  port: 2000
announce:
  interval: 5s
  expire_after: 1m30s
  folder: off
  secret: [one, two]
  legacy: false
  status_port: 0
supervisor:
  mode: required
  address: http://127.0.0.1:48484
  api_key: key
  timeout: 2s
  poll_interval: 3s
policy:
  settle: 1s
  discovery: 2s
  unknown_after: 3s
  drain_delay: 4s
  drain_timeout: 5s
  drain_reserve: 6s
  defer_limit: 8s
  standby: 7s
  exclusive: true
  complete_path: /complete
process:
  stop_signal: QUIT
  pre_stop: [a, b c]
  preflight: "true # ünï: 'x' \"y\""
readiness:
  http:
  tcp:
  command: [test, -f, "/x\ty"]
  file:
  notify: false
  after: auto
  period: 1s
  timeout: 2s
  serving_period: 3s
  failures: 4
status:
  listen: "[::1]:8080"
  socket: off
log:
  level: debug
  format: json
`

// everyValue is what everyKey says.
func everyValue() config.Config {
	return config.Config{
		Service: config.Service{
			AppID: "0123", Name: "main", ContainerID: "0123456789abcdef", StateDir: "/state", StopGracePeriod: time.Minute,
		},
		Network: config.Network{
			Mode: config.NetworkHost, Interface: "eth0", Group: netip.MustParseAddr("239.1.2.3"), Port: 2000,
		},
		Announce: config.Announce{
			Interval: 5 * time.Second, ExpireAfter: 90 * time.Second, Secrets: []config.Secret{"one", "two"},
		},
		Supervisor: config.Supervisor{
			Mode: config.SupervisorRequired, Address: "http://127.0.0.1:48484", APIKey: "key",
			Timeout: 2 * time.Second, PollInterval: 3 * time.Second,
		},
		Policy: config.Policy{
			Settle: time.Second, Discovery: 2 * time.Second, UnknownAfter: 3 * time.Second, DrainDelay: 4 * time.Second,
			DrainTimeout: 5 * time.Second, DrainReserve: 6 * time.Second, DeferLimit: 8 * time.Second, Standby: 7 * time.Second,
			Exclusive: true, CompletePath: "/complete",
		},
		Process: config.Process{
			StopSignal: syscall.SIGQUIT,
			PreStop:    config.Command{Argv: []string{"a", "b c"}},
			Preflight:  shell(`true # ünï: 'x' "y"`),
		},
		Readiness: config.Readiness{
			Command: config.Command{Argv: []string{"test", "-f", "/x\ty"}}, AfterAuto: true,
			Period: time.Second, Timeout: 2 * time.Second, ServingPeriod: 3 * time.Second, Failures: 4,
		},
		Status: config.Status{Listen: "[::1]:8080"},
		Log:    config.Log{Level: "debug", Format: "json"},
	}
}

// everyVariable says the same as everyKey, in variables.
func everyVariable() []string {
	var tree map[string]map[string]yaml.Node
	if err := yaml.Unmarshal([]byte(everyKey), &tree); err != nil {
		panic(err)
	}
	var environ []string
	for section, keys := range tree {
		for leaf, node := range keys {
			text := node.Value
			if node.Kind == yaml.SequenceNode {
				var words []string
				for _, n := range node.Content {
					words = append(words, fmt.Sprintf("%q", n.Value))
				}
				text = "[" + strings.Join(words, ",") + "]"
			}
			environ = append(environ, strings.ToUpper("HANDOVER_"+section+"_"+leaf)+"="+text)
		}
	}
	return environ
}
