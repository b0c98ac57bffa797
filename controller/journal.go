package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
)

// Event is something that happened, as kubectl would show it.
type Event struct {
	Time time.Time `json:"time"`
	Type string    `json:"type"` // Normal or Warning
	// Phase is the instance's at that time.
	Phase   string `json:"phase"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

const (
	eventsAtMost = 100
	// peerEventsAtMost bounds what strangers can make this instance log: so many
	// events about peers at once, and one more every peerEventEvery.
	peerEventsAtMost = 30
	peerEventEvery   = 5 * time.Second
)

// journal turns what changed into events and log lines: each decision once, not
// each time that it is made again.
type journal struct {
	log    *slog.Logger
	events []Event

	reason   Reason
	phase    peer.Phase
	peers    map[peer.InstanceID]spoken
	quota    float64
	quotaAt  time.Time
	workload workload.State
	told     bool
	hurry    bool
	failing  string
}

// spoken is what a peer said last.
type spoken struct {
	phase peer.Phase
	told  bool
	gone  bool
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, phase: peer.PhaseStarting, peers: map[peer.InstanceID]spoken{}, quota: peerEventsAtMost}
}

// note records an event and logs it. Messages are for people, reasons for
// machines.
func (j *journal) note(level slog.Level, why Reason, message string, attrs ...slog.Attr) {
	j.record(level, why, message)
	j.log.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("reason", string(why))}, attrs...)...)
}

// record records an event that somebody else logs.
func (j *journal) record(level slog.Level, why Reason, message string) {
	kind := "Normal"
	if level >= slog.LevelWarn {
		kind = "Warning"
	}
	// A new slice each time: what was published is never written to.
	keep := j.events[max(0, len(j.events)-eventsAtMost+1):]
	j.events = append(slices.Clone(keep), Event{Time: time.Now(), Type: kind, Phase: j.phase.String(), Reason: why, Message: message})
}

// begin records who this is.
func (j *journal) begin(o *Options, self *Self) {
	mode := "required"
	if o.Policy.SupervisorOff {
		mode = "off"
	}
	container := string(self.Container)
	if container == "" {
		container = "unknown"
	}
	j.note(slog.LevelInfo, "Started", "handover speaks for this container",
		slog.String("service", o.Service), slog.String("container", container),
		slog.String("instance", self.Instance.String()), slog.Bool("restarted", self.Restarted),
		slog.String("supervisor", mode), slog.String("version", o.Version))
	if o.Policy.SupervisorOff {
		j.note(slog.LevelWarn, "SupervisorOff",
			"supervisor.mode is off: announcements alone decide, whoever sends them; on balena, set the label io.balena.features.supervisor-api")
	}
	if self.Container == "" && !o.Policy.SupervisorOff {
		j.note(slog.LevelWarn, "OwnContainerUnknown",
			"the own container id was not found, so the Supervisor's list cannot be compared with it and this instance steps down only when it is told to; set service.container_id")
	}
}

// observed records what changed around this instance.
func (j *journal) observed(s *Snapshot, state *workload.State) {
	if s.Self.Told() && !j.told {
		j.told = true
		j.note(slog.LevelInfo, "Told", "told to stop", slog.Duration("stopGracePeriod", s.Policy.StopGracePeriod))
	}
	if s.Self.Hurry && !j.hurry {
		j.hurry = true
		j.note(slog.LevelWarn, "Hurried", "told to stop a second time: wait no longer")
	}
	j.observedPeers(s)
	j.observedWorkload(state)
}

func (j *journal) observedPeers(s *Snapshot) {
	seen := make(map[peer.InstanceID]spoken, len(s.Peers))
	for i := range s.Peers {
		p := &s.Peers[i]
		now := spoken{p.Phase, p.Told, p.Ended()}
		seen[p.Instance] = now
		if was, known := j.peers[p.Instance]; known && was == now {
			continue
		}
		message := "another instance is " + p.Phase.String()
		switch {
		case p.Ended():
			message = "another instance has ended"
		case p.Told && p.Phase != peer.PhaseHolding:
			message += " and was told to stop"
		}
		j.notePeer(s.Now, "Peer", message, p)
	}
	for id := range j.peers {
		if _, still := seen[id]; !still && !j.peers[id].gone {
			j.notePeer(s.Now, "PeerForgotten", "another instance was not heard for too long", &peer.Peer{Instance: id})
		}
	}
	j.peers = seen
}

// allowed reports whether one more event that strangers can cause may be
// recorded.
func (j *journal) allowed(now time.Time) bool {
	j.quota = min(peerEventsAtMost, j.quota+float64(now.Sub(j.quotaAt))/float64(peerEventEvery))
	j.quotaAt = now
	if j.quota < 1 {
		return false
	}
	j.quota--
	return true
}

// notePeer records an event about a peer, as long as there are not too many.
func (j *journal) notePeer(now time.Time, why Reason, message string, p *peer.Peer) {
	if !j.allowed(now) {
		return
	}
	if p.Container != "" {
		message += " (container " + string(p.Container) + ")"
	} else if p.Legacy {
		message += " (handover-lib at " + p.Address.String() + ")"
	}
	attrs := []slog.Attr{slog.String("instance", p.Instance.String())}
	if p.Container != "" {
		attrs = append(attrs, slog.String("container", string(p.Container)))
	}
	if p.Release != 0 {
		attrs = append(attrs, slog.Uint64("release", p.Release))
	}
	j.note(slog.LevelInfo, why, message, attrs...)
}

// observedWorkload records what became of the workload, which logs that itself.
func (j *journal) observedWorkload(now *workload.State) {
	was := j.workload
	j.workload = *now
	switch {
	case now.Running && now.PID != was.PID:
		j.record(slog.LevelInfo, "WorkloadStarted", fmt.Sprintf("the workload was started as process %d", now.PID))
	case was.Running && !now.Running:
		j.record(slog.LevelInfo, "WorkloadEnded", fmt.Sprintf("the workload has ended with exit status %d", now.ExitCode))
	}
	if now.Running && now.Ready != was.Ready {
		if now.Ready {
			j.record(slog.LevelInfo, "WorkloadReady", fmt.Sprintf("the workload is ready, %v after its start", now.ReadySince.Sub(now.Started).Round(time.Millisecond)))
		} else if now.EverReady && !now.Draining {
			j.record(slog.LevelWarn, "WorkloadNotReady", "the workload is not ready any more: "+now.NotReadyReason)
		}
	}
	if !now.SignalledAt.IsZero() && was.SignalledAt.IsZero() {
		j.record(slog.LevelInfo, "StopSignalSent", "the workload was sent its stop signal")
	}
	if now.Killed && !was.Killed {
		j.record(slog.LevelWarn, "Killed", "the workload did not end in time and was killed")
	}
}

// answered records when the Supervisor stops answering, why, and when it
// answers again.
func (j *journal) answered(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == j.failing {
		return
	}
	before := j.failing
	j.failing = text
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		j.note(slog.LevelWarn, "SupervisorUnknown", text)
	case before != "":
		j.note(slog.LevelInfo, "SupervisorAnswers", "the Supervisor answers again")
	}
}

// decided records a decision, if it is another one than before.
func (j *journal) decided(s *Snapshot, d *Decision) {
	if d.Reason == j.reason && d.Phase == j.phase {
		return
	}
	if d.Phase == j.phase && j.reason != "" && !j.allowed(s.Now) {
		return // only what is heard changed, too often; a later round says it
	}
	j.reason, j.phase = d.Reason, d.Phase
	level := slog.LevelInfo
	if d.Warning {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("phase", d.Phase.String())}
	if d.Memory.Drain != nil && d.Memory.Drain.For != (peer.InstanceID{}) {
		attrs = append(attrs, slog.String("for", d.Memory.Drain.For.String()))
	}
	if !d.HoldEnds.IsZero() {
		attrs = append(attrs, slog.Duration("holdEndsIn", d.HoldEnds.Sub(s.Now).Round(time.Millisecond)))
	}
	if d.Exit {
		attrs = append(attrs, slog.Int("exitCode", d.ExitCode))
	}
	j.note(level, d.Reason, d.Message, attrs...)
}
