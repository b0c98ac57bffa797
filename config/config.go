package config

import (
	"net/netip"
	"syscall"
	"time"
)

// Config is the whole configuration. The keys in the file and the variables
// are those of the mapstructure tags: service.app_id, HANDOVER_SERVICE_APP_ID.
// README.md says what each of them means.
type Config struct {
	Service    Service    `mapstructure:"service"`
	Network    Network    `mapstructure:"network"`
	Announce   Announce   `mapstructure:"announce"`
	Supervisor Supervisor `mapstructure:"supervisor"`
	Policy     Policy     `mapstructure:"policy"`
	Process    Process    `mapstructure:"process"`
	Readiness  Readiness  `mapstructure:"readiness"`
	Status     Status     `mapstructure:"status"`
	Log        Log        `mapstructure:"log"`
}

// Service says which service this is, and what its container is like.
type Service struct {
	// AppID and Name are empty if nothing says them.
	AppID string `mapstructure:"app_id"`
	Name  string `mapstructure:"name"`
	// ContainerID is 12 to 64 hexadecimal digits in lower case, or empty: then
	// it is to be found.
	ContainerID string `mapstructure:"container_id"`
	// StateDir is an absolute path in the container's own writable layer.
	StateDir string `mapstructure:"state_dir"`
	// StopGracePeriod is what the compose file says: the time from SIGTERM to
	// SIGKILL.
	StopGracePeriod time.Duration `mapstructure:"stop_grace_period"`
}

// Modes of [Network].
const (
	NetworkAuto   = "auto"
	NetworkBridge = "bridge"
	NetworkHost   = "host"
)

// Network says where announcements go.
type Network struct {
	// Mode is NetworkAuto, NetworkBridge or NetworkHost.
	Mode      string     `mapstructure:"mode"`
	Interface string     `mapstructure:"interface"`
	Group     netip.Addr `mapstructure:"group"` // IPv4 multicast
	Port      int        `mapstructure:"port"`  // 1 to 65535
}

// Announce says how this instance speaks of itself.
type Announce struct {
	Interval    time.Duration `mapstructure:"interval"`
	ExpireAfter time.Duration `mapstructure:"expire_after"` // 3 s to 1 h, at least 3 × Interval
	// Folder is the absolute path of the folder that both instances share;
	// empty: this way is off.
	Folder string `mapstructure:"folder"`
	// Secrets: the first signs, all are accepted; none: no signatures.
	Secrets []Secret `mapstructure:"secret"`
	// Legacy: understand handover-lib peers, and be understood by them.
	Legacy bool `mapstructure:"legacy"`
	// StatusPort is where handover-lib 0.2 status messages go; 0: none are sent.
	StatusPort int `mapstructure:"status_port"`
}

// Modes of [Supervisor].
const (
	SupervisorAuto     = "auto"
	SupervisorRequired = "required"
	SupervisorOff      = "off"
)

// Supervisor says how to reach the balena Supervisor.
type Supervisor struct {
	// Mode is SupervisorAuto, SupervisorRequired or SupervisorOff, as written:
	// what auto amounts to is for the caller to say, from Address. With
	// SupervisorRequired there is an Address.
	Mode string `mapstructure:"mode"`
	// Address is an http or https URL without user, path, query and fragment, or
	// empty.
	Address      string        `mapstructure:"address"`
	APIKey       Secret        `mapstructure:"api_key"`
	Timeout      time.Duration `mapstructure:"timeout"` // of one request
	PollInterval time.Duration `mapstructure:"poll_interval"`
}

// Policy holds the times and choices of the decision.
// DrainDelay + DrainReserve + [DrainMargin] is less than
// [Service.StopGracePeriod].
type Policy struct {
	Settle       time.Duration `mapstructure:"settle"`
	Discovery    time.Duration `mapstructure:"discovery"`
	UnknownAfter time.Duration `mapstructure:"unknown_after"`
	DrainDelay   time.Duration `mapstructure:"drain_delay"`
	DrainTimeout time.Duration `mapstructure:"drain_timeout"`
	DrainReserve time.Duration `mapstructure:"drain_reserve"`
	DeferLimit   time.Duration `mapstructure:"defer_limit"` // 0: no deferral at all
	Standby      time.Duration `mapstructure:"standby"`     // 0: off
	Exclusive    bool          `mapstructure:"exclusive"`
	CompletePath string        `mapstructure:"complete_path"` // absolute
}

// DrainMargin is kept between the end of a drain and the end of the grace
// period, beside the drain's own times.
const DrainMargin = 500 * time.Millisecond

// Hold is for how long an instance that is told to stop can serve on. It is
// positive.
func (c *Config) Hold() time.Duration {
	return c.Service.StopGracePeriod - c.Policy.DrainReserve - DrainMargin
}

// aliveAfter is the longest time after which readiness.after: auto takes a
// workload that does not listen for ready.
const aliveAfter = 10 * time.Second

// AliveAfter is how long a workload must live until readiness.after: auto takes
// it for ready though it does not listen: so short that an older instance, which
// has the same settings, still holds on when it has been ready for policy.settle.
func (c *Config) AliveAfter() time.Duration {
	return min(aliveAfter, max((c.Hold()-c.Policy.Settle)/2, DrainMargin/5))
}

// ListensWithin is the same where an older instance says that its service listens:
// most likely this one's will, too, so it is given all of the hold but a second.
func (c *Config) ListensWithin() time.Duration {
	return max(c.AliveAfter(), c.Hold()-c.Policy.Settle-time.Second)
}

// Process says how to treat the workload and what to run around it.
type Process struct {
	StopSignal syscall.Signal `mapstructure:"stop_signal"`
	PreStop    Command        `mapstructure:"pre_stop"`
	Preflight  Command        `mapstructure:"preflight"`
}

// Readiness says when the workload is ready. At most one of HTTP, TCP,
// Command, File, Notify and an After that was given as a duration is set.
type Readiness struct {
	HTTP    string  `mapstructure:"http"` // http or https URL
	TCP     string  `mapstructure:"tcp"`  // host:port
	Command Command `mapstructure:"command"`
	File    string  `mapstructure:"file"` // absolute path
	Notify  bool    `mapstructure:"notify"`
	// After is how long after its start the workload counts as ready, if
	// AfterAuto is false. It is to be looked at only if no other kind is set.
	After time.Duration `mapstructure:"after"`
	// AfterAuto: when a process of the workload listens on TCP, else by time.
	// After is then 0.
	AfterAuto     bool          `mapstructure:"-"`
	Period        time.Duration `mapstructure:"period"`
	Timeout       time.Duration `mapstructure:"timeout"`
	ServingPeriod time.Duration `mapstructure:"serving_period"`
	Failures      int           `mapstructure:"failures"`
}

// Status says where the status is served; empty means nowhere.
type Status struct {
	Listen string   `mapstructure:"listen"` // host:port; the host may be empty
	Names  []string `mapstructure:"names"`  // host names for Listen; "*": any
	Socket string   `mapstructure:"socket"` // absolute path
}

// Log says how to log.
type Log struct {
	Level  string `mapstructure:"level"`  // "debug", "info", "warn" or "error"
	Format string `mapstructure:"format"` // "text" or "json"
}
