package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// Policy holds the settings that a decision depends on. All durations are in
// the same clock as Snapshot.Now.
type Policy struct {
	// SupervisorOff: announcements alone decide, as with handover-lib.
	SupervisorOff bool
	// PollInterval is the pause between two requests to the Supervisor. An
	// answer is fresh while its request is at most two of them old.
	PollInterval time.Duration
	// Settle is how long both signals must have held without evidence against.
	// For an instance that is told: how long its successor must have said that
	// it serves, but not beyond the end of the hold.
	Settle time.Duration
	// Discovery bounds the search for a successor while the Supervisor cannot
	// be reached, from the moment of being told.
	Discovery time.Duration
	// Standby is how long after its release an instance watches its younger one,
	// ready to take the service back at once. After SIGTERM it ends with the hold
	// at the latest.
	Standby time.Duration
	// Exclusive: no two workloads may ever run at a time.
	Exclusive bool
	// UnknownAfter is how long an instance that is told waits for the
	// Supervisor before it trusts its successor's acknowledgement alone.
	UnknownAfter time.Duration
	// StopGracePeriod is the time between SIGTERM and SIGKILL.
	StopGracePeriod time.Duration
	// DrainDelay, DrainTimeout and DrainReserve: see the configuration.
	DrainDelay, DrainTimeout, DrainReserve time.Duration
	// NotReadyAfter is how long a younger peer may live without serving before
	// a released instance starts its workload again: the time in which its
	// readiness probes would have failed often enough.
	NotReadyAfter time.Duration
	// LegacyExpireAfter is the silence after which a handover-lib peer, which
	// cannot be asked, is regarded as lost.
	LegacyExpireAfter time.Duration
}

// Times that the design fixes.
const (
	// announcedWithin: an announcement is "now" for so long after its receipt.
	announcedWithin = time.Second
	// legacyAnnouncedWithin is the same for handover-lib, which announces every
	// ten seconds and cannot be asked.
	legacyAnnouncedWithin = 11 * time.Second
	// liveWithin: a peer that was heard so recently speaks for itself; the
	// Supervisor's list does not speak over it. It is asked every 300 ms.
	liveWithin = 4 * time.Second
	// silentAfter is the silence after which a released instance no longer
	// relies on a younger peer that said that it serves.
	silentAfter = 10 * time.Second
	// uneasyAfter is the silence after which a released instance asks more
	// often, and asks the Supervisor as well, and after which one whose drain has
	// not taken its first step takes it back.
	uneasyAfter = 2 * time.Second
	// remeasure is how long a silence is measured anew after this process did not
	// run for a while: what arrived meanwhile has not been read, and what was to be
	// asked was not asked.
	remeasure = time.Second
	// pressedGrace is assumed to be the time-out of whoever sends SIGTERM again,
	// who is not a Supervisor that was restarted: docker stop's own.
	pressedGrace = 10 * time.Second
	// tookAtMost bounds how much longer an answer stays fresh because it took long.
	tookAtMost = 5 * time.Second
	// lingerFor is the age that a container of a crash loop reaches while an older
	// instance serves. The engine's pauses between restarts grow for one that ends
	// earlier, and Supervisors since v14.13.10 fail with a container that does not
	// run at that moment, so that its own fix is not applied.
	lingerFor = 10 * time.Second
	// retryPause is the pause before a workload that crashed is started again in the
	// same container. It doubles each time, as the engine's pauses do.
	retryPause       = 100 * time.Millisecond
	retryPauseAtMost = 10 * time.Second
	// ExitReserve is kept for the end of the process itself before SIGKILL.
	ExitReserve = 500 * time.Millisecond
	// listenFor is how long a restarted instance listens before it starts its
	// workload; answerWithin is how much longer it waits for the Supervisor if
	// it heard a peer that may be younger.
	listenFor    = 150 * time.Millisecond
	answerWithin = 400 * time.Millisecond
	// legacyRunningFor is how long a container must have been running before a
	// handover-lib peer is matched to it: by then an instance of this program
	// would have been heard. legacyRunningForTold is the same under SIGTERM.
	legacyRunningFor     = 5 * time.Second
	legacyRunningForTold = 2500 * time.Millisecond
	// settleAfterRestart doubles with each time a released instance had to
	// start its workload again, up to settleAtMost.
	settleAfterRestart = 10 * time.Second
	settleAtMost       = 160 * time.Second

	// dyingFor is how long an exclusive workload may outlive the instance that it
	// belonged to and that was killed: the kernel frees the lock first.
	dyingFor = 250 * time.Millisecond
	// listenForOwner is how long an exclusive instance listens before the first
	// start of its workload where there is no lock.
	listenForOwner = time.Second

	// successorsAtMost bounds what is remembered of them; a device has few.
	successorsAtMost = 16

	askEvery         = 300 * time.Millisecond
	askEveryReleased = time.Second
)

// Snapshot is everything that a decision is made from. It is plain data: who
// has the same snapshot comes to the same decision.
type Snapshot struct {
	Now    time.Time
	Policy Policy
	Self   Self
	// Peers are the other instances that were heard, those that are gone among
	// them.
	Peers      []peer.Peer
	Supervisor Answers
	Workload   WorkloadFacts
	// PeerLostAt is when a peer was last forgotten or said that it ends; zero
	// if that never happened.
	PeerLostAt time.Time
	// RefusedAt is when an announcement of this service was last dropped because
	// its signature is missing or wrong: somebody is there who cannot be
	// understood. Zero: never.
	RefusedAt time.Time
	// Stall is the last time during which this process did not run although it
	// had something to do; zero: there was none.
	Stall Stall
	// DeferredUntil is before when the workload asked not to be drained; zero: it
	// did not ask.
	DeferredUntil time.Time
	// Preflight: the preflight command has succeeded, or there is none.
	Preflight bool
	Owner     Ownership
	// MarkerFailed: the marker could not be written when it was wanted last.
	MarkerFailed bool
	// Memory is what the last decision wants the next one to know.
	Memory Memory
}

// Stall is a time during which this process was stopped, or not given the
// processor, from the last look at the world to the next one.
type Stall struct{ From, To time.Time }

// After is this stall as one with the last one before, if that has ended so shortly
// before that silence could not be measured anew in between.
func (s Stall) After(last Stall) Stall {
	if !last.To.IsZero() && s.From.Sub(last.To) < remeasure {
		s.From = earlier(s.From, last.From)
	}
	return s
}

// Self is what an instance knows about itself.
type Self struct {
	Instance   peer.InstanceID
	Container  peer.ContainerID // empty: unknown
	FirstStart peer.FirstStart
	// StartMilli is the wall time of the container's first start, in
	// milliseconds since the Unix epoch: what handover-lib compares.
	StartMilli int64
	// Boot is the hash of the present boot's id, as in peer.FirstStart.
	Boot [4]byte
	// Restarted: the container has been started before.
	Restarted bool
	// ListeningSince is when this process began to listen to peers.
	ListeningSince time.Time
	// ToldAt is when the first signal to stop arrived; zero: not told.
	ToldAt time.Time
	// PressedAt is when a second one arrived that is not a Supervisor's repeat
	// after its own restart; zero: none did.
	PressedAt time.Time
	// Hurry: after the first one an interrupt arrived, or a third one.
	Hurry bool
}

// Told reports whether the instance has been told to stop.
func (s *Self) Told() bool { return !s.ToldAt.IsZero() }

// Ownership is the right to run an exclusive workload: a lock in the folder that
// the containers share.
type Ownership struct {
	// Lockable: there is such a lock. Without, only what others say tells whether
	// the resource is free.
	Lockable bool
	// Held: this instance has it, since then.
	Held  bool
	Since time.Time
}

// Answers is what is known from the Supervisor, reduced to the containers of
// this service.
type Answers struct {
	// RequestedAt and ReceivedAt belong to the last usable answer; zero: none.
	RequestedAt, ReceivedAt time.Time
	// Containers are the service's containers in that answer, newest first.
	Containers []Listed
	// AliveAt is when the Supervisor last answered a ping, so that a list is to be
	// expected of it; zero: it did not, or what it answered was useless. Only an
	// instance that is told pings.
	AliveAt time.Time
	// Failed tells that the last request brought no usable answer.
	Failed bool
	// Introduced: the Supervisor has answered once, or was asked often enough at
	// the start. Only a key that was seen to work can be seen to be rotated.
	Introduced bool
	// Rotated tells that the Supervisor refused a key that it accepted before.
	Rotated bool
}

// Find returns the listed container of that id, nil if there is none.
func (a *Answers) Find(id peer.ContainerID) *Listed {
	if id == "" {
		return nil
	}
	for i := range a.Containers {
		if c := &a.Containers[i]; c.Short() == id {
			return c
		}
	}
	return nil
}

// Listed is a container in the Supervisor's list with what was learnt about it
// over time.
type Listed struct {
	supervisor.Container
	// RunningSince is when the first of an unbroken row of answers was requested
	// that all report it running; zero: not running.
	RunningSince time.Time
	// Extended: an announcement of this program came from it at some time, so
	// it cannot be the container of a handover-lib peer.
	Extended bool
	// Stopped: an answer reported it as being stopped, and none as running since.
	Stopped bool
	// Unnamed: the answer names no app or no service for it. It may be one of
	// this service, so it counts where a successor is sought and nowhere else.
	Unnamed bool
}

// Short is the container's id in the form that peers use.
func (l *Listed) Short() peer.ContainerID { return ShortID(l.ID) }

// ShortID cuts an id to the form that peers use.
func ShortID(id string) peer.ContainerID {
	if len(id) > 12 {
		id = id[:12]
	}
	return peer.ContainerID(id)
}

// WorkloadFacts is the state of this instance's workload.
type WorkloadFacts struct {
	// Started: it was started at least once by this process.
	Started bool
	// Ready: it runs and its readiness probe says so. EverReady: it did so once
	// since its last start.
	Ready, EverReady bool
	// NotReady says why it is not ready, in words for people; empty while it is.
	NotReady string
	// Ended: it has been started and does not run any more.
	Ended bool
	// ExitCode is its exit status once Ended: 128+n for a signal.
	ExitCode int
	// Stopping: the first step of a drain was taken, so that it cannot be taken
	// back: the pre-stop command was started, or the stop signal sent.
	Stopping bool
}

// Memory is what one decision hands to the next. Only Decide makes it.
type Memory struct {
	// Drain is the drain under way or completed; nil while there is none.
	Drain *Drain
	// Settling are the younger peers whose both signals hold, since when.
	Settling []Settling
	// Restarts counts how often the workload was started again after a release
	// since the last completed hand-over.
	Restarts int
	// AgainAt is when the workload was last started again; zero: it was not.
	AgainAt time.Time
	// HadSuccessor: at the last decision of a told instance there was one.
	// EverSuccessor: at one of them there was.
	HadSuccessor, EverSuccessor bool
	// Successors are the containers that were one, as far as they are known; at most
	// successorsAtMost.
	Successors []peer.ContainerID
	// SuccessorLostAt is when the last successor was lost; zero: never.
	SuccessorLostAt time.Time
	// EndedAt is when the workload was seen to have ended by itself; zero: it has not.
	// Tries is how often it was started again in this container.
	EndedAt time.Time
	Tries   int
	// Lingers: the workload has ended by itself, early and not for the first time,
	// while an older instance served. Forsaken: none did when it was looked at last.
	Lingers, Forsaken bool
	// MarkerWritten: this instance wrote the marker and has not removed it.
	MarkerWritten bool
	// AloneChecked is the PeerLostAt for which the marker question is settled.
	AloneChecked time.Time
}

// Drain is one orderly end of the workload. Until its first step it is only
// words, and can be taken back.
type Drain struct {
	Since  time.Time
	Reason Reason
	// For is the peer that this instance steps down for; zero if none.
	For peer.InstanceID
	// HandOver: another instance serves. The exit status is 0.
	HandOver bool
	// Delayed: the stop signal waits for policy.drain_delay, since somebody serves
	// to whom a proxy can look away.
	Delayed bool
	// Unmet is what was still missing when the hold ended. Shortened: a second
	// SIGTERM had it end sooner.
	Unmet     Unmet
	Shortened bool
	// Aside: the workload was never started, a younger instance serves already.
	Aside bool
	// Completed: both signals held once more after the release.
	Completed bool
	// Unmarked says why no marker was written; empty if one was.
	Unmarked string
	// ReleasedAt is when the workload had ended; zero: it still runs.
	ReleasedAt time.Time
	// UnservedSince is since when no younger instance says that it serves; zero:
	// one does.
	UnservedSince time.Time
}

// Settling is a younger peer whose both signals hold.
type Settling struct {
	Instance peer.InstanceID
	Since    time.Time
}
