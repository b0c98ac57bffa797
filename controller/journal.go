package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// Event is something that happened, as kubectl would show it.
type Event struct {
	Time time.Time `json:"time"`
	Type string    `json:"type"` // Normal or Warning
	// Phase is the instance's at that time.
	Phase   string        `json:"phase"`
	Reason  decide.Reason `json:"reason"`
	Message string        `json:"message"`
	// Details are the attributes of the log line: key=value, with a blank between.
	Details string `json:"details,omitempty"`
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
	times  *stopwatch
	events []Event

	reason   decide.Reason
	phase    peer.Phase
	peers    map[peer.InstanceID]remembered
	quota    float64
	quotaAt  time.Time
	workload workload.State
	told     bool
	pressed  bool
	hurry    bool
	failing  string
	since    time.Time // of failing
	release  uint64
	target   int64
}

// spoken is what a peer said last.
type spoken struct {
	phase peer.Phase
	told  bool
	gone  bool
}

// remembered is what is left of a peer that is forgotten.
type remembered struct {
	spoken
	container peer.ContainerID
	legacy    bool
	address   netip.Addr
	lastHeard time.Time
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, phase: peer.PhaseStarting, peers: map[peer.InstanceID]remembered{}, quota: peerEventsAtMost}
}

// note records an event and logs it. Messages are for people, reasons for
// machines.
func (j *journal) note(level slog.Level, why decide.Reason, message string, attrs ...slog.Attr) {
	j.noteAs(level, why, message, message, attrs...)
}

// noteAs is note where the event, which has room for one text only, says more
// than the log line, whose message is always the same.
func (j *journal) noteAs(level slog.Level, why decide.Reason, message, event string, attrs ...slog.Attr) {
	j.record(level, why, event, attrs...)
	j.log.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("reason", string(why))}, attrs...)...)
}

// noteError is note with what went wrong.
func (j *journal) noteError(level slog.Level, why decide.Reason, message string, err error) {
	j.record(level, why, message+": "+err.Error())
	j.log.LogAttrs(context.Background(), level, message, slog.String("reason", string(why)), slog.Any("error", err))
}

// record records an event that somebody else logs.
func (j *journal) record(level slog.Level, why decide.Reason, message string, attrs ...slog.Attr) {
	kind := "Normal"
	if level >= slog.LevelWarn {
		kind = "Warning"
	}
	// A new slice each time: what was published is never written to.
	keep := j.events[max(0, len(j.events)-eventsAtMost+1):]
	j.events = append(slices.Clone(keep), Event{
		Time: time.Now(), Type: kind, Phase: j.phase.String(), Reason: why, Message: message, Details: details(attrs),
	})
}

// details are attributes as a log line shows them.
func details(attrs []slog.Attr) string {
	var b strings.Builder
	for _, a := range attrs {
		prefix, all := "", []slog.Attr{a}
		if a.Value.Kind() == slog.KindGroup {
			prefix, all = a.Key+".", a.Value.Group()
		}
		for _, a := range all {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(prefix + a.Key + "=" + a.Value.String())
		}
	}
	return b.String()
}

// lasted is an attribute for how long something took.
func lasted(key string, d time.Duration) slog.Attr {
	return slog.Duration(key, d.Round(time.Millisecond))
}

// begin records who this is.
func (j *journal) begin(o *Options, self *decide.Self) {
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
		slog.String("supervisor", mode), slog.Duration("stopGracePeriod", o.Policy.StopGracePeriod),
		slog.Duration("holdAtMost", o.Policy.HoldAtMost()), slog.String("version", o.Version))
	if o.Policy.SupervisorOff {
		j.note(slog.LevelWarn, "SupervisorOff",
			"supervisor.mode is off: announcements alone decide, whoever sends them; on balena, set the label io.balena.features.supervisor-api")
	}
	if self.Container == "" && !o.Policy.SupervisorOff {
		j.note(slog.LevelWarn, "OwnContainerUnknown",
			"this instance's container id was not found, so the Supervisor's list cannot be compared with it and this instance steps down only when it is told to; set service.container_id")
	}
}

// explained records which release this is, and which one there should be: what
// tells an update from a roll-back.
func (j *journal) explained(own uint64, target *supervisor.Target) {
	if own == 0 || own == j.release && target.ReleaseID == j.target {
		return
	}
	j.release, j.target = own, target.ReleaseID
	attrs := []slog.Attr{slog.Uint64("release", own)}
	if target.ReleaseID != 0 {
		attrs = append(attrs, slog.Int64("target", target.ReleaseID), slog.String("targetCommit", target.Commit))
	}
	j.note(slog.LevelInfo, "Release", "the Supervisor says which release this is and which one it wants", attrs...)
}

// observed records what changed around this instance.
func (j *journal) observed(s *decide.Snapshot, state *workload.State) {
	if s.Self.Told() && !j.told {
		j.told = true
		j.note(slog.LevelInfo, "Told", "told to stop", slog.Duration("stopGracePeriod", s.Policy.StopGracePeriod),
			lasted("killedIn", s.KilledAt().Sub(s.Now)), lasted("served", j.times.served(s.Now)))
	}
	if !s.Self.PressedAt.IsZero() && !j.pressed {
		j.pressed = true
		j.note(slog.LevelWarn, "ToldAgain", "told to stop again, and nothing tells that this is the repeat of a Supervisor that was restarted: whoever does so may kill this container in 10 s",
			lasted("killedIn", s.KilledAt().Sub(s.Now)))
	}
	if s.Self.Hurry && !j.hurry {
		j.hurry = true
		j.note(slog.LevelWarn, "Hurried", "told to stop again: wait no longer")
	}
	j.observedPeers(s)
	j.observedWorkload(state)
}

func (j *journal) observedPeers(s *decide.Snapshot) {
	if len(s.Peers) == 0 && len(j.peers) == 0 {
		return
	}
	seen := make(map[peer.InstanceID]remembered, len(s.Peers))
	for i := range s.Peers {
		p := &s.Peers[i]
		now := spoken{p.Phase, p.Told, p.Ended()}
		seen[p.Instance] = remembered{now, p.Container, p.Legacy, p.Address, p.LastHeard}
		was, known := j.peers[p.Instance]
		if known && was.spoken == now {
			continue
		}
		message := "another instance is " + p.Phase.String()
		attrs := []slog.Attr{slog.String("age", s.Age(p).String())}
		switch {
		case p.Ended():
			message = "another instance has ended"
			attrs = append(attrs, lasted("heardFor", s.Now.Sub(p.FirstHeard)))
		case p.Told && p.Phase != peer.PhaseHolding:
			message += " and was told to stop"
		}
		restarts := j.times.processes[p.Container].restarts
		if restarts > 0 {
			attrs = append(attrs, slog.Int("restarts", restarts))
		}
		j.notePeer(s.Now, slog.LevelInfo, "Peer", message, p, attrs...)
		// At 3, 6, 12, … restarts: often enough to be seen, not to fill a log.
		if third := restarts / 3; !known && restarts%3 == 0 && third > 0 && third&(third-1) == 0 {
			j.notePeer(s.Now, slog.LevelWarn, "PeerRestarts",
				"another instance ends again and again; why is in the log of its container", p, attrs...)
		}
	}
	for id, was := range j.peers {
		if _, still := seen[id]; !still && !was.gone {
			j.notePeer(s.Now, slog.LevelInfo, "PeerForgotten", "another instance was not heard for too long",
				&peer.Peer{Instance: id, Container: was.container, Legacy: was.legacy, Address: was.address},
				lasted("silence", s.Now.Sub(was.lastHeard)))
		}
	}
	j.peers = seen
	if p := j.times.left; p != nil {
		j.notePeer(s.Now, slog.LevelWarn, "NobodyServes", nobodyServes(s, p), p)
	}
	if p := j.times.tookOver; p != nil {
		j.notePeer(s.Now, slog.LevelInfo, "TookOver", "this instance has taken over the service", p, lasted("readyFor", j.times.served(s.Now)))
	}
}

// nobodyServes says that the older instance, which was told to stop, has ended
// before this one is ready, and advises only for what is known to be the cause: if
// it did not drain, nobody has asked its workload to end.
func nobodyServes(s *decide.Snapshot, p *peer.Peer) string {
	switch {
	case p.Dead:
		return "the older instance was killed, or crashed, before this one is ready"
	case !p.Drained:
		return "the older instance has ended before this one is ready, and did not say that it drains: its service may have ended by itself; why is in the log of its container"
	case s.Self.Restarted:
		return "the older instance has ended before this one is ready, whose container was restarted meanwhile: why is in the log above"
	}
	return "the older instance had to end before this one is ready: raise stop_grace_period in the compose file and service.stop_grace_period alike"
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
func (j *journal) notePeer(now time.Time, level slog.Level, why decide.Reason, message string, p *peer.Peer, more ...slog.Attr) {
	if !j.allowed(now) {
		return
	}
	event := message
	if p.Container != "" {
		event += " (container " + string(p.Container) + ")"
	} else if p.Legacy {
		event += " (handover-lib at " + p.Address.String() + ")"
	}
	attrs := append([]slog.Attr{slog.String("instance", p.Instance.String())}, who(p)...)
	j.noteAs(level, why, message, event, append(attrs, more...)...)
}

// who are the attributes that tell which instance a peer is.
func who(p *peer.Peer) []slog.Attr {
	var attrs []slog.Attr
	switch {
	case p.Container != "":
		attrs = append(attrs, slog.String("container", string(p.Container)))
	case p.Legacy:
		attrs = append(attrs, slog.String("handoverLib", p.Address.String()))
	}
	if p.Release != 0 {
		attrs = append(attrs, slog.Uint64("release", p.Release))
	}
	return attrs
}

// observedWorkload records what became of the workload, which logs that itself.
func (j *journal) observedWorkload(now *workload.State) {
	was := j.workload
	j.workload = *now
	switch {
	case now.Running && now.PID != was.PID:
		j.record(slog.LevelInfo, "WorkloadStarted", fmt.Sprintf("the workload was started as process %d", now.PID))
	case was.Running && !now.Running:
		j.record(slog.LevelInfo, "WorkloadEnded", fmt.Sprintf("the workload has ended with exit status %d, %v after its start", now.ExitCode, now.Ended.Sub(now.Started).Round(time.Millisecond)))
	}
	if now.Running && now.Ready != was.Ready {
		if now.Ready {
			j.record(slog.LevelInfo, "WorkloadReady", fmt.Sprintf("the workload is ready, %v after its start", now.ReadySince.Sub(now.Started).Round(time.Millisecond)))
		} else if now.EverReady && !now.Draining {
			j.record(slog.LevelWarn, "WorkloadNotReady", "the workload is not ready any more: "+now.NotReadyReason)
		}
	}
	if now.Overdue != "" && now.Overdue != was.Overdue {
		j.record(slog.LevelWarn, "WorkloadNotReady", "the workload is still not ready: "+now.Overdue)
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
	if before == "" {
		j.since = time.Now()
	}
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		j.noteAs(slog.LevelWarn, "SupervisorUnknown", "the Supervisor gave no usable answer", text, slog.Any("error", err))
	case before != "":
		j.note(slog.LevelInfo, "SupervisorAnswers", "the Supervisor answers again", lasted("after", time.Since(j.since)))
	}
}

// decided records a decision, if it is another one than before.
func (j *journal) decided(s *decide.Snapshot, d *decide.Decision) {
	if d.Reason == j.reason && d.Phase == j.phase {
		return
	}
	if d.Phase == j.phase && j.reason != "" && !j.allowed(s.Now) {
		return // only what is heard changed, too often; a later round says it
	}
	j.reason, j.phase = d.Reason, d.Phase
	level := slog.LevelInfo
	if d.Warning || d.Exit && d.Reason == decide.ReasonWorkloadEnded && d.ExitCode != 0 {
		level = slog.LevelWarn
	}
	j.note(level, d.Reason, d.Message, j.circumstances(s, d)...)
}

// circumstances say of a decision for whom it was made, how long it took to come
// to it, and what comes next.
func (j *journal) circumstances(s *decide.Snapshot, d *decide.Decision) []slog.Attr {
	attrs := []slog.Attr{slog.String("phase", d.Phase.String())}
	drain, about := d.Memory.Drain, d.Focus
	var other *peer.Peer
	if drain != nil && drain.For != (peer.InstanceID{}) {
		attrs = append(attrs, slog.String("for", drain.For.String()))
		about = drain.For
	}
	for i := range s.Peers {
		if about != (peer.InstanceID{}) && s.Peers[i].Instance == about {
			other = &s.Peers[i]
		}
	}
	if other != nil {
		role := "younger"
		if s.Self.Told() {
			role = "successor"
		}
		about := append(who(other), slog.String("phase", other.Phase.String()), lasted("since", s.Now.Sub(other.PhaseSince)))
		attrs = append(attrs, slog.GroupAttrs(role, about...))
	}
	switch {
	case !d.HoldEnds.IsZero():
		attrs = append(attrs, lasted("holdEndsIn", d.HoldEnds.Sub(s.Now)))
	case d.Reason == decide.ReasonSettling:
		attrs = append(attrs, slog.Duration("settle", d.Settle))
	}
	if d.Reason == decide.ReasonDeferred {
		attrs = append(attrs, lasted("deferredFor", s.DeferredUntil.Sub(s.Now)))
	}
	if d.Phase == peer.PhaseDraining {
		kill := planOf(&s.Policy, d.SignalAt, d.KillAt).KillBy(d.SignalAt)
		attrs = append(attrs, lasted("served", j.times.served(s.Now)), lasted("signalIn", d.SignalAt.Sub(s.Now)), lasted("killedIn", kill.Sub(s.Now)))
	}
	switch {
	case drain == nil || drain.Aside || drain.ReleasedAt.IsZero():
	case d.Exit && drain.HandOver:
		attrs = append(attrs, slog.GroupAttrs("stages", j.times.attributes()...))
	default:
		attrs = append(attrs, lasted("drainTook", drain.ReleasedAt.Sub(drain.Since)))
	}
	if d.Exit {
		attrs = append(attrs, slog.Int("exitCode", d.ExitCode), lasted("served", j.times.served(s.Now)))
		if s.Self.Told() {
			attrs = append(attrs, lasted("toldFor", s.Now.Sub(s.Self.ToldAt)))
		}
	}
	return attrs
}
