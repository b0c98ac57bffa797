package controller

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/supervisor"
)

// counters are what the loop counts.
type counters struct {
	reconciles, starts          atomic.Uint64
	answered, refused, unusable atomic.Uint64
	askedFor                    atomic.Int64 // nanoseconds
}

// asked counts one request to the Supervisor.
func (c *counters) asked(err error, took time.Duration) {
	c.askedFor.Add(int64(took))
	var e *supervisor.Error
	switch {
	case err == nil:
		c.answered.Add(1)
	case errors.As(err, &e) && e.Kind == supervisor.KindUnauthorized:
		c.refused.Add(1)
	default:
		c.unusable.Add(1)
	}
}

// metrics returns the metrics of this instance. They are read when they are
// asked for and cost nothing before. Every series exists from the start.
func (c *Controller) metrics() *metrics.Set {
	set := metrics.NewSet()
	number := func(name string, f func() float64) { set.NewGauge(name, f) }
	count := func(name string, v *atomic.Uint64) { number(name, func() float64 { return float64(v.Load()) }) }

	count(`handover_reconciles_total`, &c.counters.reconciles)
	count(`handover_workload_starts_total`, &c.counters.starts)
	count(`handover_supervisor_requests_total{outcome="answered"}`, &c.counters.answered)
	count(`handover_supervisor_requests_total{outcome="unauthorized"}`, &c.counters.refused)
	count(`handover_supervisor_requests_total{outcome="unusable"}`, &c.counters.unusable)
	number(`handover_supervisor_request_seconds_total`, func() float64 {
		return time.Duration(c.counters.askedFor.Load()).Seconds()
	})
	for phase := peer.PhaseStarting; phase <= peer.PhaseGone; phase++ {
		number(fmt.Sprintf(`handover_phase{phase=%q}`, phase.String()), func() float64 {
			return one(c.published.Load().decision.Phase == phase)
		})
	}
	for _, t := range []ConditionType{Ready, YoungerAnnounced, YoungerRunning, Drained, Complete} {
		for _, status := range []ConditionStatus{True, False, Unknown} {
			number(fmt.Sprintf(`handover_condition{type=%q,status=%q}`, t, status), func() float64 {
				for _, now := range c.published.Load().decision.Conditions {
					if now.Type == t {
						return one(now.Status == status)
					}
				}
				return one(status == Unknown)
			})
		}
	}
	number(`handover_peers`, func() float64 {
		n := 0
		for _, p := range c.published.Load().snapshot.Peers {
			if !p.Ended() {
				n++
			}
		}
		return float64(n)
	})
	number(`handover_told`, func() float64 { return one(c.published.Load().snapshot.Self.Told()) })
	c.announcements(number)
	return set
}

// announcements are the counters of the node.
func (c *Controller) announcements(number func(string, func() float64)) {
	for _, way := range c.o.Peers.Stats().Ways {
		of := func() peer.WayStats {
			stats := c.o.Peers.Stats()
			return stats.Way(way.Name)
		}
		number(fmt.Sprintf(`handover_announcements_sent_total{way=%q}`, way.Name), func() float64 { return float64(of().Sent) })
		number(fmt.Sprintf(`handover_announcements_received_total{way=%q}`, way.Name), func() float64 { return float64(of().Received) })
		for _, reason := range peer.DropReasons() {
			number(fmt.Sprintf(`handover_announcements_dropped_total{way=%q,reason=%q}`, way.Name, reason.String()), func() float64 {
				now := of()
				return float64(now.Dropped(reason))
			})
		}
		if way.Kernel == nil {
			continue
		}
		number(fmt.Sprintf(`handover_announcements_filter{way=%q}`, way.Name), func() float64 { return one(of().Kernel.Filter) })
		if way.Kernel.DropsKnown {
			number(fmt.Sprintf(`handover_announcements_kernel_drops_total{way=%q}`, way.Name), func() float64 {
				return float64(of().Kernel.Drops)
			})
		}
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
