package explorer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// plan is one story: which releases there are, and what happens when. It is a
// value: it can be printed, read again, and shortened. What chance decides
// below it (the network, the Supervisor's times) follows from Seed.
type plan struct {
	Seed    uint64 `json:"seed"`
	Version string `json:"version"`
	// BeforeStop slows the Supervisor down between start and stop.
	BeforeStop dur `json:"beforeStop,omitzero"`
	// Releases are called A, B, C and so on. The last one is healthy.
	Releases []release `json:"releases"`
	Actions  []action  `json:"actions"`
	// End is when all faults end.
	End dur `json:"end"`
	// Finale is what happens then: "" for convergence to one that serves,
	// "renew" for that with the last release, "stop" and "shutdown" for the end
	// of all.
	Finale string `json:"finale,omitempty"`
	// Quiet is for how long nothing may happen afterwards.
	Quiet dur `json:"quiet"`
	// Created is how the Supervisor's list shows when containers were created:
	// truthful, or one of the words below.
	Created string `json:"created,omitempty"`
	// Strict: nobody is excused by what an instance could not know. If one could
	// serve, and nobody did, then only what happened from outside explains it.
	Strict bool `json:"strict,omitempty"`
}

// How creation times can be shown.
const (
	createdEqual    = "equal"    // all the same
	createdMissing  = "missing"  // none
	createdReversed = "reversed" // the oldest as the newest
)

// release is how a release behaves and what it configures. Zero values are the
// defaults of the configuration.
type release struct {
	Ready  dur  `json:"ready"`          // the workload is ready so long after its start; negative: never
	Crash  dur  `json:"crash,omitzero"` // it ends by itself so long after its start
	Drain  dur  `json:"drain,omitzero"` // it ends so long after the stop signal
	Hangs  bool `json:"hangs,omitzero"` // it ignores the stop signal
	Slow   dur  `json:"slow,omitzero"`  // starting it holds the loop up
	Boot   dur  `json:"boot,omitzero"`  // handover itself takes so long to start
	Legacy bool `json:"legacy,omitzero"`

	Timeout   dur  `json:"timeout,omitzero"`   // io.balena.update.handover-timeout
	KillFirst bool `json:"killFirst,omitzero"` // another update strategy

	Off       bool `json:"off,omitzero"` // supervisor.mode off
	NoLegacy  bool `json:"noLegacy,omitzero"`
	NoFolder  bool `json:"noFolder,omitzero"`
	NoNetwork bool `json:"noNetwork,omitzero"` // no interface: the folder alone
	Anonymous bool `json:"anonymous,omitzero"` // does not find its own container id
	NoRecord  bool `json:"noRecord,omitzero"`  // its state folder is read-only

	Grace      dur `json:"grace,omitzero"`
	Settle     dur `json:"settle,omitzero"`
	DrainDelay dur `json:"drainDelay,omitzero"`
	DrainLimit dur `json:"drainLimit,omitzero"`
	Poll       dur `json:"poll,omitzero"`

	Standby   dur  `json:"standby,omitzero"`
	Exclusive bool `json:"exclusive,omitzero"`
}

func (r *release) healthy() bool { return r.Ready >= 0 && r.Crash == 0 && !r.Legacy }

func or(d dur, normal time.Duration) time.Duration {
	if d == 0 {
		return normal
	}
	return time.Duration(d)
}

func (r *release) grace() time.Duration      { return or(r.Grace, 10*time.Second) }
func (r *release) drainLimit() time.Duration { return or(r.DrainLimit, 30*time.Second) }
func (r *release) poll() time.Duration       { return or(r.Poll, time.Second) }
func (r *release) timeout() time.Duration    { return or(r.Timeout, time.Minute) }

// action is something that happens from outside.
type action struct {
	At dur `json:"at"`
	// On makes it wait, from At on, for something that an instance does:
	// "1 serving" is the phase serving of the second container, "0 told" its
	// SIGTERM, "2 start" the start of a process. Then After passes.
	On    string `json:"on,omitempty"`
	After dur    `json:"after,omitzero"`
	Do    string `json:"do"`
	// Who is a container in the order of creation, or a release.
	Who int `json:"who,omitzero"`
	// Other is another container.
	Other int  `json:"other,omitzero"`
	For   dur  `json:"for,omitzero"`
	By    dur  `json:"by,omitzero"`
	Env   int  `json:"env,omitzero"`
	All   bool `json:"all,omitzero"` // the workload is stopped, too

	Loss    float64 `json:"loss,omitzero"`
	Double  float64 `json:"double,omitzero"`
	Reorder float64 `json:"reorder,omitzero"`
	Jitter  dur     `json:"jitter,omitzero"`
}

// What an action can do. Those with For end after it.
const (
	doDeploy   = "deploy"   // release Who, with the variable Env, is the target
	doRotate   = "rotate"   // the service's API key
	doDown     = "down"     // the Supervisor ends in order, for
	doCrash    = "crash"    // the Supervisor is killed, for
	doLock     = "lock"     // the service holds its update lock, for
	doError    = "error"    // the API answers 500, for
	doRefuse   = "refuse"   // it refuses connections, for
	doForbid   = "forbid"   // it answers 401, for
	doStall    = "stall"    // it answers nothing, for
	doStale    = "stale"    // it answers what was true, for
	doHalf     = "half"     // its answers break off, for
	doPartial  = "partial"  // its answers list the others and not the one who asks, for
	doEmpty    = "empty"    // its answers list nobody, for
	doNetwork  = "network"  // the network is bad, for
	doIsolate  = "isolate"  // container Who hears nobody and nobody hears it, for
	doCut      = "cut"      // container Other does not hear container Who, for
	doStranger = "stranger" // another service's handover-lib speaks on the bridge
	doKill     = "kill"     // SIGKILL for container Who
	doExit     = "exit"     // the workload of container Who ends by itself
	doUnready  = "unready"  // it is not ready, for
	doTerm     = "term"     // SIGTERM from outside, not from the Supervisor
	doDefer    = "defer"    // the workload of container Who asks for time, for
	doFreeze   = "freeze"   // the loop of container Who hangs, for
	doPause    = "pause"    // its whole process is stopped (SIGSTOP, swap, freezer), for
	doSlow     = "slow"     // the Supervisor's answers take By longer, for
	doReboot   = "reboot"   // the power fails; the Supervisor is back after For
	doClock    = "clock"    // the wall clock jumps by By
	doReadOnly = "readonly" // the shared folder cannot be written, for
	doFull     = "full"     // the shared folder is full, for
	doBlind    = "blind"    // the shared folder tells of no change, for
)

// does reports whether any of these actions is in the plan.
func (p *plan) does(any ...string) bool {
	return slices.ContainsFunc(p.Actions, func(a action) bool { return slices.Contains(any, a.Do) })
}

// dur is a duration that is written as text.
type dur time.Duration

func (d dur) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *dur) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = dur(v)
	return err
}

// String is the plan as text, one release and one action in a line.
func (p plan) String() string {
	var b strings.Builder
	line := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	fmt.Fprintf(&b, "{\"seed\": %d, \"version\": %q, \"beforeStop\": %s, \"end\": %s, \"finale\": %q, \"quiet\": %s,",
		p.Seed, p.Version, line(p.BeforeStop), line(p.End), p.Finale, line(p.Quiet))
	if p.Created != "" || p.Strict {
		fmt.Fprintf(&b, " \"created\": %q, \"strict\": %v,", p.Created, p.Strict)
	}
	b.WriteString("\n \"releases\": [")
	for i, r := range p.Releases {
		fmt.Fprintf(&b, "%s\n  %s", comma(i), line(r))
	}
	b.WriteString("],\n \"actions\": [")
	for i, a := range p.Actions {
		fmt.Fprintf(&b, "%s\n  %s", comma(i), line(a))
	}
	b.WriteString("]}")
	return b.String()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// parse reads a plan. A field that it does not know is an error.
func parse(text string) (plan, error) {
	var p plan
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, err
	}
	switch p.Created {
	case "", createdEqual, createdMissing, createdReversed:
		return p, nil
	}
	return p, fmt.Errorf("created is %q; use %q, %q, %q, or leave it out", p.Created, createdEqual, createdMissing, createdReversed)
}
