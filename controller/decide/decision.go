package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// Reason is a machine-readable word for why something was decided, in the
// form of Kubernetes' condition reasons.
type Reason string

// Why an instance does what it does.
const (
	ReasonListening        Reason = "Listening"         // restarted: looks for a younger instance first
	ReasonAlone            Reason = "Alone"             // no younger instance is known
	ReasonYoungerNotReady  Reason = "YoungerNotReady"   // a younger instance does not serve yet
	ReasonYoungerSilent    Reason = "YoungerSilent"     // a younger instance was not heard just now
	ReasonYoungerUnknown   Reason = "YoungerUnknown"    // the Supervisor did not say whether it runs
	ReasonYoungerNotListed Reason = "YoungerNotRunning" // the Supervisor says that it does not run
	ReasonSettling         Reason = "Settling"          // both signals hold, not for long enough yet
	ReasonBothSignals      Reason = "BothSignals"       // announced and running: step down
	ReasonHolding          Reason = "Holding"           // told, and a successor is not ready yet
	ReasonSearching        Reason = "Searching"         // told, and not known yet whether there is a successor
	ReasonSuccessorServes  Reason = "SuccessorServes"   // told, and the successor serves, runs and acknowledges
	ReasonSuccessorTrusted Reason = "SuccessorTrusted"  // the same, but the Supervisor does not answer
	ReasonNoSuccessor      Reason = "NoSuccessor"       // told, nobody takes over: a plain stop
	ReasonHoldEnded        Reason = "HoldEnded"         // told, no successor was ready in time
	ReasonHurried          Reason = "Hurried"           // told to stop again, and not to wait
	ReasonSuccessorLost    Reason = "SuccessorLost"     // told, and the successor has ended without having been told
	ReasonToldEarly        Reason = "ToldBeforeStart"   // told before the workload was started
	ReasonDraining         Reason = "Draining"          // the workload finishes its work
	ReasonDeferred         Reason = "Deferred"          // the workload asked for time
	ReasonReleased         Reason = "Released"          // the workload has ended, a younger instance serves
	ReasonStandby          Reason = "Standby"           // the same, and ready to take the service back at once
	ReasonSteppedAside     Reason = "SteppedAside"      // restarted while a younger instance serves
	ReasonYoungerLost      Reason = "YoungerLost"       // the younger instance is lost: serve again
	ReasonAgeUnknown       Reason = "AgeUnknown"        // nothing tells which of two instances is younger
	ReasonEndedEarly       Reason = "EndedEarly"        // the workload ended early, the older instance serves: start it again here, for a moment
	ReasonWorkloadCrashed  Reason = "WorkloadCrashed"   // told, and the workload crashed before a successor is ready: start it again
	ReasonPreflight        Reason = "Preflight"         // exclusive: the preflight command has not succeeded yet
	ReasonOccupied         Reason = "Occupied"          // exclusive: another instance has the resource
	ReasonWorkloadEnded    Reason = "WorkloadEnded"     // the workload ended by itself
	ReasonHandedOver       Reason = "HandedOver"        // released and told, another instance serves: end
	ReasonNobodyFollows    Reason = "NobodyFollows"     // released and told, and nobody serves: end
)

// WorkloadWish is what should be true of the workload.
type WorkloadWish uint8

// The wishes.
const (
	// WorkloadWait: not started yet, and not to be started now.
	WorkloadWait WorkloadWish = iota
	// WorkloadRun: it should run.
	WorkloadRun
	// WorkloadDrain: it should end in order.
	WorkloadDrain
	// WorkloadStay: it has ended and stays so.
	WorkloadStay
)

// MarkerWish is what should happen to the file handover-complete.
type MarkerWish uint8

// The wishes.
const (
	MarkerKeep MarkerWish = iota
	MarkerWrite
	MarkerRemove
)

// Decision is what should be. The loop makes it so; nothing in it is an event
// that could be missed.
type Decision struct {
	// Phase and the fields below it are what to say to peers.
	Phase    peer.Phase
	Ask      bool
	AskEvery time.Duration
	Eager    bool
	Acks     []peer.InstanceID

	Workload WorkloadWish
	// Own wants the right to run an exclusive workload, or to keep it. Preflight
	// wants the preflight command to be run.
	Own, Preflight bool
	// SignalAt and KillAt bound the drain: the stop signal, then SIGKILL. KillAt
	// is zero while only the drain time-out, counted from the stop signal, bounds it.
	SignalAt, KillAt time.Time

	Marker MarkerWish

	// Exit ends the process with ExitCode.
	Exit     bool
	ExitCode int

	// Poll wants answers from the Supervisor, one every poll interval, and at
	// once if none was requested since AskSince.
	Poll     bool
	AskSince time.Time

	// Reason and Message say why, for people. Warning asks for attention.
	Reason  Reason
	Message string
	Warning bool
	// HoldEnds is when the hold must end; zero while there is none.
	HoldEnds   time.Time
	Conditions []Condition
	// Focus is the peer that the two signals are about; zero: there is none.
	// Settle is how long both must hold.
	Focus  peer.InstanceID
	Settle time.Duration

	// RequeueAfter is when to decide again if nothing happens; 0: never.
	RequeueAfter time.Duration
	Memory       Memory
}
