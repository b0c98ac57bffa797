package peer

import "fmt"

// Phase is what an instance says of itself in its announcements.
type Phase uint8

// The phases, with the numbers that go over the wire.
const (
	// PhaseUnknown is never sent; a datagram with it is dropped.
	PhaseUnknown Phase = iota
	// PhaseStarting: the workload is not ready (yet, or any more).
	PhaseStarting
	// PhasePrepared: exclusive mode only, able to serve as soon as the
	// resource is free.
	PhasePrepared
	// PhaseServing: the workload is ready.
	PhaseServing
	// PhaseHolding: told to stop, serving on until the successor is ready.
	PhaseHolding
	// PhaseDraining: the workload finishes its work.
	PhaseDraining
	// PhaseReleased: the workload has ended, its resources are free.
	PhaseReleased
	// PhaseGone is said once, at every exit.
	PhaseGone
)

var phaseNames = [...]string{
	"unknown", "starting", "prepared", "serving", "holding", "draining", "released", "gone",
}

// String returns the phase's name in lower case, as the status shows it.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// MarshalText makes JSON and logs show the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a phase's name.
func (p *Phase) UnmarshalText(text []byte) error {
	for i, name := range phaseNames {
		if name == string(text) {
			*p = Phase(i)
			return nil
		}
	}
	return fmt.Errorf("peer: parse phase %q: no such phase", text)
}

// said reports whether the phase is one that goes over the wire.
func (p Phase) said() bool { return p > PhaseUnknown && p <= PhaseGone }

// legacyServing reports whether a handover-lib peer may regard this phase as
// that of a younger instance: only then the nine bytes carry the real time.
func (p Phase) legacyServing() bool { return p == PhaseServing || p == PhasePrepared }
