package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/workload"
	"github.com/handover-controller/handover/peer"
)

// failed takes note of a panic in the loop: a defect of this program that must
// not end the service. It is logged with the state in which it happened.
func (c *Controller) failed(reason any) {
	c.failure = fmt.Sprint("handover panicked and no longer guards the workload, which goes on: ", reason)
	defer func() { _ = recover() }() // saying so must not be what ends it
	d := &c.published.Load().decision
	c.o.Logger.Error("panic in the loop; this is a defect of handover, please report it",
		"panic", fmt.Sprint(reason), "stack", string(debug.Stack()),
		"phase", d.Phase.String(), "decision", d.Reason, "told", !c.orders.told().IsZero(),
		"drain", fmt.Sprintf("%+v", c.memory.Drain), "restarts", c.memory.Restarts,
		"supervisorAskedAt", c.supervisor.RequestedAt, "listed", len(c.listed))
	c.journal.note(slog.LevelError, "Panicked", c.failure)
}

// unguarded is the rest of the instance's life after a panic. It decides
// nothing any more: the workload runs, is stopped when this instance is told,
// and its end is the instance's. What was said to peers last is still said.
func (c *Controller) unguarded(ctx context.Context) (int, error) {
	handedOver := c.memory.Drain != nil && c.memory.Drain.HandOver
	if !c.started && !handedOver {
		if c.o.Policy.Exclusive {
			return 1, fmt.Errorf("controller: %s", c.failure) // another instance may have the resource
		}
		if err := c.o.Workload.Start(); err != nil {
			return 1, fmt.Errorf("controller: start the workload: %w", err)
		}
		c.started = true
	}
	draining := false
	for {
		state := c.o.Workload.State()
		c.lament(&state)
		toldAt := c.orders.told()
		told := !toldAt.IsZero()
		if handedOver && !state.Running {
			c.letGo(told)
		}
		switch over := !c.started || !state.Running; {
		case over && handedOver && told:
			return 0, nil
		case over && !handedOver:
			return state.ExitCode, nil
		case told && !over && !draining:
			draining = true
			c.o.Workload.Drain(planOf(&c.o.Policy, time.Now(), toldAt.Add(c.o.Policy.StopGracePeriod-decide.ExitReserve)))
		}
		select {
		case <-ctx.Done():
			return 1, context.Cause(ctx)
		case <-c.wake:
		case <-c.o.Workload.Changed():
		case pong := <-c.pings:
			close(pong)
		case r := <-c.deferrals:
			r.answer <- deferralAnswer{err: errors.New(c.failure)}
		}
	}
}

// lament publishes what is still known.
func (c *Controller) lament(state *workload.State) {
	old := c.published.Load()
	now := *old
	now.workload, now.failure, now.events, now.next, now.rendering = *state, c.failure, c.journal.events, make(chan struct{}), new(rendering)
	now.snapshot.Workload = decide.WorkloadFacts{
		Started: c.started, Ready: state.Ready, EverReady: state.EverReady,
		Ended: c.started && !state.Running, ExitCode: state.ExitCode,
	}
	now.decision.Warning, now.decision.Message = true, c.failure
	c.published.Store(&now)
	close(old.next)
}

// letGo frees what an instance that has released must not keep: another one may
// wait for it.
func (c *Controller) letGo(told bool) {
	defer func() { _ = recover() }()
	c.disown()
	c.o.Peers.Say(peer.Statement{Phase: peer.PhaseReleased, Told: told})
}
