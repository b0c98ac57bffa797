package controller

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
)

// published is what the loop lets others see. It is never written to again.
type published struct {
	snapshot   decide.Snapshot
	decision   decide.Decision
	workload   workload.State
	events     []Event
	failing    string
	failure    string // the panic after which nothing is decided any more
	explained  explanation
	handovers  []Handover
	next       chan struct{} // closed when there is something newer
	rendering  *rendering
	reconciled bool
}

// rendering is what /events sends for a state. It is made when it is wanted for the
// first time, once for everybody.
type rendering struct {
	making sync.Once
	text   []byte
}

// event is the state as /events sends it.
func (p *published) event(o *Options) []byte {
	p.rendering.making.Do(func() {
		if data, err := json.Marshal(p.status(o)); err == nil { // it has nothing that cannot be written
			p.rendering.text = fmt.Appendf(nil, "event: status\ndata: %s\n\n", data)
		}
	})
	return p.rendering.text
}

// publish lets others see the present state.
func (c *Controller) publish(s *decide.Snapshot, d *decide.Decision) {
	now := &published{
		snapshot: *s, decision: *d, workload: c.journal.workload, events: c.journal.events,
		failing: c.journal.failing, explained: c.explained, handovers: c.history.observe(s, d, c.release(), c.unwritable), next: make(chan struct{}), rendering: new(rendering), reconciled: true,
	}
	close(c.published.Swap(now).next)
}

// Status is what GET /status answers and `handover status` shows. Times are
// the local wall clock's.
type Status struct {
	// Time is when the status was made.
	Time     time.Time      `json:"time"`
	Instance InstanceStatus `json:"instance"`
	Phase    string         `json:"phase"`
	// Reason and Message say why this instance does what it does.
	Reason  decide.Reason `json:"reason"`
	Message string        `json:"message"`
	// Failure is the panic after which this instance decides nothing any more.
	Failure    string             `json:"failure,omitempty"`
	Conditions []decide.Condition `json:"conditions"`
	Peers      []PeerStatus       `json:"peers"`
	Supervisor SupervisorStatus   `json:"supervisor"`
	Workload   WorkloadStatus     `json:"workload"`
	Events     []Event            `json:"events"`
	// Handovers are the last hand-over that this instance has seen, and after it
	// the one under way.
	Handovers []Handover `json:"handovers"`
}

// InstanceStatus tells who this is.
type InstanceStatus struct {
	ID        string     `json:"id"`
	Container string     `json:"container,omitempty"`
	App       string     `json:"app,omitempty"`
	Service   string     `json:"service,omitempty"`
	Release   uint64     `json:"release,omitempty"`
	Version   string     `json:"version,omitempty"`
	Restarted bool       `json:"restarted"`
	Told      bool       `json:"told"`
	ToldAt    *time.Time `json:"toldAt,omitempty"`
	// HoldEndsAt is when an instance that holds must begin to drain.
	HoldEndsAt *time.Time `json:"holdEndsAt,omitempty"`
	// DeferredUntil is before when the workload asked not to be drained.
	DeferredUntil *time.Time `json:"deferredUntil,omitempty"`
}

// PeerStatus is another instance as this one sees it.
type PeerStatus struct {
	ID        string `json:"id"`
	Container string `json:"container,omitempty"`
	Release   uint64 `json:"release,omitempty"`
	// Age is younger, older or unknown: than this instance.
	Age       string    `json:"age"`
	Phase     string    `json:"phase"`
	Told      bool      `json:"told"`
	Gone      bool      `json:"gone"`
	Legacy    bool      `json:"legacy"`
	Address   string    `json:"address,omitempty"`
	Ways      []string  `json:"ways"`
	LastHeard time.Time `json:"lastHeard"`
}

// SupervisorStatus is what the Supervisor said last.
type SupervisorStatus struct {
	Mode string `json:"mode"` // required or off
	// Reachable is null while it was not asked.
	Reachable   *bool      `json:"reachable"`
	Error       string     `json:"error,omitempty"`
	RequestedAt *time.Time `json:"requestedAt,omitempty"`
	// TargetRelease and TargetCommit are what the service should run; 0 and
	// empty if unknown.
	TargetRelease int64             `json:"targetRelease,omitempty"`
	TargetCommit  string            `json:"targetCommit,omitempty"`
	Containers    []ContainerStatus `json:"containers"`
}

// ContainerStatus is a container of the service in the Supervisor's list.
type ContainerStatus struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"createdAt"`
	Release   int64     `json:"release,omitempty"`
	Own       bool      `json:"own"`
}

// WorkloadStatus is the state of the command that this instance runs.
type WorkloadStatus struct {
	Running  bool       `json:"running"`
	Ready    bool       `json:"ready"`
	PID      int        `json:"pid,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	ExitCode *int       `json:"exitCode,omitempty"`
}

// Glance tells what can be had without making a Status: the phase, and whether
// another instance is heard that has not ended. The channel is closed when there
// is something newer. It may be called from any goroutine.
func (c *Controller) Glance() (phase peer.Phase, others bool, changed <-chan struct{}) {
	p := c.published.Load()
	return p.decision.Phase, someoneLives(&p.snapshot), p.next
}

// Status returns the present status. It may be called from any goroutine.
func (c *Controller) Status() Status { return c.published.Load().status(&c.o) }

func (p *published) status(o *Options) Status {
	s, d := &p.snapshot, &p.decision
	st := Status{
		Time: time.Now(), Phase: d.Phase.String(), Reason: d.Reason, Message: d.Message, Failure: p.failure,
		Conditions: nonNil(d.Conditions), Events: nonNil(p.events), Handovers: nonNil(p.handovers),
		Instance: InstanceStatus{
			ID: o.Self.Instance.String(), Container: string(o.Self.Container), App: o.AppID, Service: o.Service,
			Version: o.Version, Restarted: o.Self.Restarted, Told: s.Self.Told(),
			ToldAt: known(s.Self.ToldAt), HoldEndsAt: known(d.HoldEnds),
			DeferredUntil: known(deferredUntil(s)),
		},
		Workload: WorkloadStatus{
			Running: p.workload.Running, Ready: s.Workload.Ready, PID: p.workload.PID, Started: known(p.workload.Started),
		},
		Supervisor: SupervisorStatus{
			Mode: "required", Error: p.failing, RequestedAt: known(s.Supervisor.RequestedAt),
			TargetRelease: p.explained.target.ReleaseID, TargetCommit: p.explained.target.Commit,
			Containers: []ContainerStatus{},
		},
		Peers: []PeerStatus{},
	}
	if !p.reconciled {
		st.Phase = peer.PhaseStarting.String()
	}
	if s.Workload.Ended {
		st.Workload.ExitCode = &s.Workload.ExitCode
	}
	switch reachable := !s.Supervisor.Failed; {
	case o.Policy.SupervisorOff:
		st.Supervisor.Mode = "off"
	case s.Supervisor.Failed || !s.Supervisor.RequestedAt.IsZero():
		st.Supervisor.Reachable = &reachable
	}
	for i := range s.Supervisor.Containers {
		l := &s.Supervisor.Containers[i]
		c := ContainerStatus{
			ID: string(l.Short()), Status: string(l.Status), CreatedAt: l.CreatedAt,
			Release: p.explained.releases.ByImage[l.ImageID].ReleaseID,
			Own:     o.Self.Container != "" && l.Short() == o.Self.Container,
		}
		if c.Own {
			st.Instance.Release = uint64(max(0, c.Release))
		}
		st.Supervisor.Containers = append(st.Supervisor.Containers, c)
	}
	for i := range s.Peers {
		st.Peers = append(st.Peers, peerStatus(s, &s.Peers[i]))
	}
	return st
}

func peerStatus(s *decide.Snapshot, p *peer.Peer) PeerStatus {
	ps := PeerStatus{
		ID: p.Instance.String(), Container: string(p.Container), Release: p.Release,
		Age: s.Age(p).String(), Phase: p.Phase.String(), Told: p.Told, Gone: p.Ended(), Legacy: p.Legacy,
		Ways: nonNil(p.Ways), LastHeard: p.LastHeard,
	}
	if p.Address.IsValid() {
		ps.Address = p.Address.String()
	}
	return ps
}

// deferredUntil is the deferral that counts; zero if there is none any more.
func deferredUntil(s *decide.Snapshot) time.Time {
	if s.Self.Hurry || s.Memory.Drain != nil || !s.Now.Before(s.DeferredUntil) {
		return time.Time{}
	}
	return s.DeferredUntil
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
