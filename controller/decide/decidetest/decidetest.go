// Package decidetest makes snapshots for tests: a device with this instance in
// container a, and others.
package decidetest

import (
	"strings"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// The world of these tests: this instance is container a, the other b.
var (
	Now      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ThisBoot = [4]byte{1, 1, 1, 1}
	LastBoot = [4]byte{2, 2, 2, 2}
	AnyBoot  = [4]byte{3, 3, 3, 3}
	Created  = Now.Add(-time.Hour)
)

// Full is a container id of 64 times that letter.
func Full(letter string) string { return strings.Repeat(letter, 64) }

// Short is its short form.
func Short(letter string) peer.ContainerID { return peer.ContainerID(strings.Repeat(letter, 12)) }

// ID is an instance id.
func ID(n byte) peer.InstanceID { return peer.InstanceID{15: n} }

// Ago is a time so long before Now.
func Ago(d time.Duration) time.Time { return Now.Add(-d) }

// Defaults are the defaults of the configuration.
func Defaults() decide.Policy {
	return decide.Policy{
		PollInterval: time.Second, Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second,
		StopGracePeriod: 10 * time.Second, DrainTimeout: 30 * time.Second, DrainReserve: 3 * time.Second,
		NotReadyAfter: 1500 * time.Millisecond, LegacyExpireAfter: 35 * time.Second,
	}
}

// Serving is a snapshot of an instance that serves, alone.
func Serving() decide.Snapshot {
	return decide.Snapshot{
		Now: Now, Policy: Defaults(),
		Self: decide.Self{
			Instance: ID(1), Container: Short("a"), Boot: ThisBoot,
			FirstStart: peer.FirstStart{Boot: ThisBoot, Since: 100 * time.Second},
			StartMilli: Created.UnixMilli(), ListeningSince: Ago(time.Hour),
		},
		Supervisor: decide.Answers{Introduced: true},
		Workload:   decide.WorkloadFacts{Started: true, Ready: true},
	}
}

// YoungerPeer serves since a second ago and was heard just now.
func YoungerPeer() peer.Peer {
	return peer.Peer{
		Instance: ID(2), Container: Short("b"), Phase: peer.PhaseServing,
		FirstStart: peer.FirstStart{Boot: ThisBoot, Since: 200 * time.Second},
		FirstHeard: Ago(2 * time.Second), PhaseSince: Ago(time.Second), LastHeard: Ago(100 * time.Millisecond),
	}
}

// LegacyPeer is a handover-lib process, started just after container b.
func LegacyPeer() peer.Peer {
	return peer.Peer{
		Instance: ID(9), Legacy: true, Phase: peer.PhaseServing,
		StartMilli: Created.Add(time.Minute + time.Second).UnixMilli(),
		FirstHeard: Ago(6 * time.Second), PhaseSince: Ago(6 * time.Second), LastHeard: Ago(time.Second),
	}
}

// ListedAs is a container in the list; one that runs has done so for ten seconds.
func ListedAs(letter string, status supervisor.Status, at time.Time) decide.Listed {
	l := decide.Listed{Container: supervisor.Container{ID: Full(letter), Status: status, CreatedAt: at}}
	if status.Running() {
		l.RunningSince = Ago(10 * time.Second)
	}
	return l
}

// OwnListed is container a in the list.
func OwnListed(status supervisor.Status) decide.Listed { return ListedAs("a", status, Created) }

// OtherListed is container b in the list, created a minute later.
func OtherListed(status supervisor.Status) decide.Listed {
	return ListedAs("b", status, Created.Add(time.Minute))
}

// With changes a snapshot; steps are applied in order.
func With(s decide.Snapshot, steps ...func(*decide.Snapshot)) decide.Snapshot {
	for _, step := range steps {
		step(&s)
	}
	return s
}

// Hears adds a peer.
func Hears(p peer.Peer, steps ...func(*peer.Peer)) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) {
		for _, step := range steps {
			step(&p)
		}
		s.Peers = append(append([]peer.Peer{}, s.Peers...), p)
	}
}

// AnswersWith gives the Supervisor's list, asked for just now.
func AnswersWith(all ...decide.Listed) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) {
		s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = Ago(50*time.Millisecond), Ago(30*time.Millisecond)
		s.Supervisor.Containers = all
	}
}

// Asked sets when that list was asked for.
func Asked(before time.Duration) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) {
		s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = Ago(before), Ago(before-20*time.Millisecond)
	}
}

// Told tells the instance so long ago.
func Told(before time.Duration) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) { s.Self.ToldAt = Ago(before) }
}

// Unreachable makes the last request fail.
func Unreachable(s *decide.Snapshot) { s.Supervisor.Failed = true }

// Off switches the Supervisor off.
func Off(s *decide.Snapshot) { s.Policy.SupervisorOff = true }

// Settles sets policy.settle.
func Settles(d time.Duration) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) { s.Policy.Settle = d }
}

// InContainer puts a peer into that container.
func InContainer(letter string) func(*peer.Peer) {
	return func(o *peer.Peer) { o.Container = Short(letter) }
}

// Phase sets what a peer says.
func Phase(p peer.Phase) func(*peer.Peer) { return func(o *peer.Peer) { o.Phase = p } }

// Heard sets when a peer was heard last.
func Heard(before time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) {
		o.LastHeard = Ago(before)
		if o.PhaseSince.After(o.LastHeard) {
			o.PhaseSince = o.LastHeard
		}
		if o.FirstHeard.After(o.LastHeard) {
			o.FirstHeard = o.LastHeard
		}
	}
}

// PhaseFor sets since when a peer says what it says.
func PhaseFor(d time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.PhaseSince = Ago(d) }
}

// Acking makes a peer acknowledge this instance.
func Acking(o *peer.Peer) { o.Acks = []peer.InstanceID{ID(1)} }

// IsTold makes a peer one that was told to stop.
func IsTold(o *peer.Peer) { o.Told = true }

// IsDead makes a peer one whose process was seen to end.
func IsDead(o *peer.Peer) { o.Dead = true }

// VouchedFor lets a way know for so long that the process of a peer lives.
func VouchedFor(d time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.FreshUntil = Now.Add(d) }
}

// IsGone makes a peer one that has said that it ends.
func IsGone(o *peer.Peer) { o.Gone, o.Phase = true, peer.PhaseGone }

// FirstStart sets the first start of the container of a peer.
func FirstStart(boot [4]byte, since time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.FirstStart = peer.FirstStart{Boot: boot, Since: since} }
}

// SteppedDown reports whether the decision ends the workload.
func SteppedDown(d decide.Decision) bool {
	return d.Workload == decide.WorkloadDrain || d.Workload == decide.WorkloadStay
}

// ReleasedFor makes an instance that has stepped down for peer b, so long ago.
func ReleasedFor(before time.Duration, completed bool) func(*decide.Snapshot) {
	return func(s *decide.Snapshot) {
		s.Workload = decide.WorkloadFacts{Started: true, Ended: true}
		s.Memory.Drain = &decide.Drain{
			Since: Ago(before + time.Second), ReleasedAt: Ago(before), Reason: decide.ReasonBothSignals,
			For: ID(2), HandOver: true, Completed: completed,
		}
	}
}

// Both gives the two signals of container b: announced, and reported running.
func Both(s *decide.Snapshot) {
	Hears(YoungerPeer())(s)
	AnswersWith(OtherListed("Running"), OwnListed("Running"))(s)
}
