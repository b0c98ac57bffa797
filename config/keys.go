package config

import (
	"math"
	"strings"
	"time"
)

// key is one row of the table that everything else is made from.
type key struct {
	name string // "service.app_id"
	// def is the default as one would write it in the file; empty: none.
	def string
	// computed says how the default comes about if def does not.
	computed string
	// also are further variables, of balena and of handover-lib. The key's own
	// variable wins over them; of these, the first that is set.
	also    []string
	kind    kind
	meaning string // for README.md
	// secret values are shown nowhere.
	secret bool
}

const day = 24 * time.Hour

// shortestDrain: with less, the workload would be killed as soon as it is told to
// stop, which nobody means who writes 0.
const shortestDrain = 100 * time.Millisecond

// keys returns the table, in the order in which it is printed.
func keys() []key {
	return []key{
		{name: "service.app_id", also: []string{"BALENA_APP_ID"}, kind: text(255),
			meaning: "the application (fleet) that the service belongs to"},
		{name: "service.name", also: []string{"BALENA_SERVICE_NAME"}, kind: text(255),
			meaning: "the service's name in the compose file"},
		{name: "service.container_id", computed: "found at start", kind: containerID(),
			meaning: "own container id, for runtimes where it cannot be found"},
		{name: "service.state_dir", def: "/var/lib/handover", kind: path(),
			meaning: "a folder in the container's own writable layer, for the record of its first start"},
		{name: "service.stop_grace_period", def: "10s", kind: duration(time.Second, day),
			meaning: "what the compose file's `stop_grace_period` says; it cannot be seen from inside"},

		{name: "network.mode", def: NetworkAuto, kind: oneOf(NetworkAuto, NetworkBridge, NetworkHost),
			meaning: "`auto`: `host` where `network.interface` exists, else `bridge`"},
		{name: "network.interface", def: "supervisor0", also: []string{"NETWORK_INTERFACE"}, kind: networkInterface(),
			meaning: "`host` mode's interface"},
		{name: "network.group", def: "239.192.16.16", also: []string{"SHUTDOWN_BROADCAST_ADDRESS"}, kind: group(),
			meaning: "where announcements go; the same in all instances of the service"},
		{name: "network.port", def: "1536", also: []string{"SHUTDOWN_PORT"}, kind: integer(1, 65535),
			meaning: "UDP port of the announcements; never 1537"},

		{name: "announce.interval", def: "10s", kind: duration(100*time.Millisecond, maxExpireAfter/minIntervals),
			meaning: "pause between announcements while nothing happens"},
		{name: "announce.expire_after", computed: "3.5 × `announce.interval`, within 3s and 1h",
			kind:    duration(minExpireAfter, maxExpireAfter),
			meaning: "forget a peer not heard for this long; at least 3 × `announce.interval`"},
		{name: "announce.folder", def: "/tmp/balena", kind: orOff(path()),
			meaning: "folder shared by the old and the new container, the second way of announcing"},
		{name: "announce.secret", secret: true, kind: secretList(),
			meaning: "signs announcements; unsigned ones are then dropped. Of a list the first signs, and all are accepted"},
		{name: "announce.legacy", def: "true", kind: boolean(),
			meaning: "understand handover-lib peers, and be understood by them"},
		{name: "announce.status_port", def: "1537", also: []string{"HANDOVER_STATUS_PORT"}, kind: integer(0, 65535),
			meaning: "UDP port of handover-lib 0.2 status messages; 0 sends none; never `network.port`, nor 1536"},

		{name: "supervisor.mode", def: SupervisorAuto, kind: oneOf(SupervisorAuto, SupervisorRequired, SupervisorOff),
			meaning: "`auto`: `required` if there is an address, else `off`"},
		{name: "supervisor.address", also: []string{"BALENA_SUPERVISOR_ADDRESS"}, kind: address(),
			meaning: "the Supervisor's API"},
		{name: "supervisor.api_key", secret: true, also: []string{"BALENA_SUPERVISOR_API_KEY"}, kind: secret(),
			meaning: "the key for it"},
		{name: "supervisor.timeout", def: "5s", kind: duration(500*time.Millisecond, 5*time.Minute),
			meaning: "of one request; an answer of a busy Supervisor takes seconds"},
		{name: "supervisor.poll_interval", def: "1s", kind: duration(100*time.Millisecond, time.Hour),
			meaning: "pause between requests while a younger peer is known; otherwise the API is left alone; each makes the Supervisor inspect every container"},

		{name: "policy.settle", def: "0s", kind: duration(0, day),
			meaning: "both signals must have held for this long: time for a proxy to find the new instance"},
		{name: "policy.discovery", def: "3s", kind: duration(time.Second, day),
			meaning: "told to stop, with no answer from the Supervisor: wait this long for a successor to be heard"},
		{name: "policy.unknown_after", def: "5s", kind: duration(time.Second, day),
			meaning: "told to stop, successor announced, Supervisor not answering: go on without its word after this long"},
		{name: "policy.drain_delay", def: "0s", kind: duration(0, day),
			meaning: "between saying `draining` and the stop signal: time for a proxy to look away"},
		{name: "policy.drain_timeout", def: "30s", kind: duration(shortestDrain, day),
			meaning: "after the stop signal; then SIGKILL. After a SIGTERM cut to what is left of the grace period"},
		{name: "policy.drain_reserve", def: "3s", kind: duration(shortestDrain, day),
			meaning: "kept for the drain at the end of a hold"},
		{name: "policy.defer_limit", def: "1h", kind: duration(0, day),
			meaning: "the longest that the workload may put off a hand-over with `handover defer`, each time; 0 allows none"},
		{name: "policy.standby", def: "0s", kind: duration(0, day),
			meaning: "take-back window after draining; 0 is none"},
		{name: "policy.exclusive", def: "false", kind: boolean(),
			meaning: "only one instance's workload may run at a time"},
		{name: "policy.complete_path", def: "/tmp/balena/handover-complete",
			also: []string{"BALENA_SERVICE_HANDOVER_COMPLETE_PATH"}, kind: filePath(math.MaxInt),
			meaning: "the marker that tells the Supervisor that the old instance has finished"},

		{name: "process.stop_signal", def: "SIGTERM", kind: signal(),
			meaning: "asks the workload to end"},
		{name: "process.pre_stop", kind: command(),
			meaning: "run before the stop signal"},
		{name: "process.preflight", kind: command(),
			meaning: "`policy.exclusive` only: must succeed before this instance announces itself"},

		{name: "readiness.http", kind: httpURL(), meaning: "ready when this answers 200–399"},
		{name: "readiness.tcp", kind: hostPort(1), meaning: "ready when this accepts a connection"},
		{name: "readiness.command", kind: command(), meaning: "ready when this exits with 0"},
		{name: "readiness.file", kind: filePath(math.MaxInt),
			meaning: "ready when this exists; removed before the workload starts"},
		{name: "readiness.notify", def: "false", kind: boolean(),
			meaning: "ready when the workload says `READY=1` on `$NOTIFY_SOCKET`, as with systemd"},
		{name: "readiness.after", def: "auto", kind: orAuto(duration(0, day)),
			meaning: "if none of the above is set: ready this long after its start. " +
				"`auto`: when the workload listens on TCP, else after 10s alive, or half of the hold if that is less"},
		{name: "readiness.period", def: "500ms", kind: duration(10*time.Millisecond, time.Hour),
			meaning: "pause between checks while starting"},
		{name: "readiness.timeout", def: "1s", kind: duration(100*time.Millisecond, time.Hour),
			meaning: "of one check"},
		{name: "readiness.serving_period", def: "5s", kind: duration(100*time.Millisecond, time.Hour),
			meaning: "pause between checks once ready"},
		{name: "readiness.failures", def: "3", kind: integer(1, 1000),
			meaning: "so many failures in a row while serving: not ready any more"},

		{name: "status.listen", def: off, kind: orOff(hostPort(0)),
			meaning: "status page, JSON and metrics over TCP; an empty host is every interface; with host networking the younger instance takes it over"},
		{name: "status.names", kind: hostNames(),
			meaning: "host names by which `status.listen` may be asked besides IP addresses, names without a dot and those of this machine; `*`: any"},
		{name: "status.socket", def: "/tmp/handover.sock", kind: orOff(filePath(maxSocketPath)),
			meaning: "Unix socket of the same, for `handover status`"},

		{name: "log.level", def: "info", kind: oneOf("debug", "info", "warn", "error"),
			meaning: "the least that is logged, to standard error"},
		{name: "log.format", def: "text", kind: oneOf("text", "json"), meaning: "of the log"},
	}
}

// variable is the key's own variable: HANDOVER_ + the key in capitals, dots as
// underscores.
func (k key) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// variables are all variables of the key; the first one that is set wins.
func (k key) variables() []string { return append([]string{k.variable()}, k.also...) }

// section is the key's part before the dot.
func (k key) section() string {
	section, _, _ := strings.Cut(k.name, ".")
	return section
}

// leaf is the key's part after the dot.
func (k key) leaf() string {
	_, leaf, _ := strings.Cut(k.name, ".")
	return leaf
}

// optional reports whether the default is that there is nothing, so that an
// empty value in the file means the same as none.
func (k key) optional() bool { return (k.def == "" && k.kind.zero != nil) || k.def == off }

// defaultValue is the default, or nil if it is computed later.
func (k key) defaultValue() any {
	if k.def == "" {
		return k.kind.zero
	}
	v, f := k.kind.parse(k.def)
	if f != nil {
		return nil
	}
	return v
}
