package controller_test

import (
	"strings"
	"time"

	. "github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// The world of these tests: this instance is container a, the other b.
var (
	now      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	thisBoot = [4]byte{1, 1, 1, 1}
	lastBoot = [4]byte{2, 2, 2, 2}
	anyBoot  = [4]byte{3, 3, 3, 3}
	created  = now.Add(-time.Hour)
)

func full(letter string) string { return strings.Repeat(letter, 64) }

func short(letter string) peer.ContainerID { return peer.ContainerID(strings.Repeat(letter, 12)) }

func id(n byte) peer.InstanceID { return peer.InstanceID{15: n} }

func ago(d time.Duration) time.Time { return now.Add(-d) }

func defaults() Policy {
	return Policy{
		PollInterval: time.Second, Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second,
		StopGracePeriod: 10 * time.Second, DrainTimeout: 30 * time.Second, DrainReserve: 3 * time.Second,
		NotReadyAfter: 1500 * time.Millisecond, LegacyExpireAfter: 35 * time.Second,
	}
}

// serving is a snapshot of an instance that serves, alone.
func serving() Snapshot {
	return Snapshot{
		Now: now, Policy: defaults(),
		Self: Self{
			Instance: id(1), Container: short("a"), Boot: thisBoot,
			FirstStart: peer.FirstStart{Boot: thisBoot, Since: 100 * time.Second},
			StartMilli: created.UnixMilli(), ListeningSince: ago(time.Hour),
		},
		Supervisor: Answers{Introduced: true},
		Workload:   WorkloadFacts{Started: true, Ready: true},
	}
}

// youngerPeer serves since a second ago and was heard just now.
func youngerPeer() peer.Peer {
	return peer.Peer{
		Instance: id(2), Container: short("b"), Phase: peer.PhaseServing,
		FirstStart: peer.FirstStart{Boot: thisBoot, Since: 200 * time.Second},
		FirstHeard: ago(2 * time.Second), PhaseSince: ago(time.Second), LastHeard: ago(100 * time.Millisecond),
	}
}

// legacyPeer is a handover-lib process, started just after container b.
func legacyPeer() peer.Peer {
	return peer.Peer{
		Instance: id(9), Legacy: true, Phase: peer.PhaseServing,
		StartMilli: created.Add(time.Minute + time.Second).UnixMilli(),
		FirstHeard: ago(6 * time.Second), PhaseSince: ago(6 * time.Second), LastHeard: ago(time.Second),
	}
}

func listed(letter string, status supervisor.Status, at time.Time) Listed {
	l := Listed{Container: supervisor.Container{ID: full(letter), Status: status, CreatedAt: at}}
	if status.Running() {
		l.RunningSince = ago(10 * time.Second)
	}
	return l
}

func ownListed(status supervisor.Status) Listed { return listed("a", status, created) }

func otherListed(status supervisor.Status) Listed {
	return listed("b", status, created.Add(time.Minute))
}

// with changes a snapshot; steps are applied in order.
func with(s Snapshot, steps ...func(*Snapshot)) Snapshot {
	for _, step := range steps {
		step(&s)
	}
	return s
}

// hears adds a peer.
func hears(p peer.Peer, steps ...func(*peer.Peer)) func(*Snapshot) {
	return func(s *Snapshot) {
		for _, step := range steps {
			step(&p)
		}
		s.Peers = append(append([]peer.Peer{}, s.Peers...), p)
	}
}

// answers gives the Supervisor's list, asked for just now.
func answers(all ...Listed) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = ago(50*time.Millisecond), ago(30*time.Millisecond)
		s.Supervisor.Containers = all
	}
}

// asked sets when that list was asked for.
func asked(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Supervisor.RequestedAt, s.Supervisor.ReceivedAt = ago(before), ago(before-20*time.Millisecond)
	}
}

// told tells the instance so long ago.
func told(before time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Self.ToldAt = ago(before) }
}

func unreachable(s *Snapshot) { s.Supervisor.Failed = true }

func off(s *Snapshot) { s.Policy.SupervisorOff = true }

func settles(d time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.Policy.Settle = d }
}

func inContainer(letter string) func(*peer.Peer) {
	return func(o *peer.Peer) { o.Container = short(letter) }
}

func phase(p peer.Phase) func(*peer.Peer) { return func(o *peer.Peer) { o.Phase = p } }

func heard(before time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) {
		o.LastHeard = ago(before)
		if o.PhaseSince.After(o.LastHeard) {
			o.PhaseSince = o.LastHeard
		}
		if o.FirstHeard.After(o.LastHeard) {
			o.FirstHeard = o.LastHeard
		}
	}
}

func phaseFor(d time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.PhaseSince = ago(d) }
}

func acking(o *peer.Peer) { o.Acks = []peer.InstanceID{id(1)} }

func isTold(o *peer.Peer) { o.Told = true }

func isDead(o *peer.Peer) { o.Dead = true }

func vouchedFor(d time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.FreshUntil = now.Add(d) }
}

func isGone(o *peer.Peer) { o.Gone, o.Phase = true, peer.PhaseGone }

func firstStart(boot [4]byte, since time.Duration) func(*peer.Peer) {
	return func(o *peer.Peer) { o.FirstStart = peer.FirstStart{Boot: boot, Since: since} }
}

func steppedDown(d Decision) bool {
	return d.Workload == WorkloadDrain || d.Workload == WorkloadStay
}

// releasedFor makes an instance that has stepped down for peer b, so long ago.
func releasedFor(before time.Duration, completed bool) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Workload = WorkloadFacts{Started: true, Ended: true}
		s.Memory.Drain = &Drain{
			Since: ago(before + time.Second), ReleasedAt: ago(before), Reason: ReasonBothSignals,
			For: id(2), HandOver: true, Completed: completed,
		}
	}
}
