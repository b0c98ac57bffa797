package controller

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// The kinds of metrics, as Prometheus names them.
const (
	counterMetric   = "counter"
	gaugeMetric     = "gauge"
	histogramMetric = "histogram"
)

// family is all series of one name: a row of the table in README.md. HELP and
// TYPE are written here, because the library's own HELP is empty and its
// histograms have buckets that only VictoriaMetrics understands.
type family struct {
	name, kind, help string
	read             func(*reading)
}

// reading is one answer to GET /metrics. Everything in it was looked at once,
// so that the series fit each other.
type reading struct {
	now   time.Time
	p     *published
	stats peer.Stats
	c     *Controller
	out   io.Writer
	name  string // of the family that is written
}

// put writes one series of the present family.
func (r *reading) put(labels string, value float64) { r.write(r.name, labels, value) }

func (r *reading) write(name, labels string, value float64) {
	if labels != "" {
		name += "{" + labels + "}"
	}
	if n := uint64(max(0, value)); float64(n) == value {
		metrics.WriteCounterUint64(r.out, name, n) // a whole number without an exponent
		return
	}
	metrics.WriteGaugeFloat64(r.out, name, value)
}

// label is name="value". Values are this program's own words.
func label(name, value string) string { return name + "=" + strconv.Quote(value) }

// histogram counts durations in buckets. Observing is two atomic additions.
type histogram struct {
	bounds []float64       // upper ones, in seconds
	counts []atomic.Uint64 // one for each, and one for what is longer
	sum    atomic.Int64    // nanoseconds
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *histogram) observe(d time.Duration) {
	d = max(0, d)
	at := 0
	for at < len(h.bounds) && d.Seconds() > h.bounds[at] {
		at++
	}
	h.counts[at].Add(1)
	h.sum.Add(int64(d))
}

// read writes the series of a histogram, with these labels.
func (h *histogram) read(r *reading, labels string) {
	with := labels
	if with != "" {
		with += ","
	}
	total := uint64(0)
	for i := range h.counts {
		le := "+Inf"
		if i < len(h.bounds) {
			le = strconv.FormatFloat(h.bounds[i], 'g', -1, 64)
		}
		total += h.counts[i].Load()
		r.write(r.name+"_bucket", with+label("le", le), float64(total))
	}
	r.write(r.name+"_sum", labels, time.Duration(h.sum.Load()).Seconds())
	r.write(r.name+"_count", labels, float64(total))
}

// writeMetrics answers GET /metrics. Nothing is computed before it is asked
// for, and the loop is not held up: it publishes copies and adds to counters.
func (c *Controller) writeMetrics(w io.Writer) error {
	var text bytes.Buffer
	r := &reading{now: time.Now(), p: c.published.Load(), stats: c.o.Peers.Stats(), c: c, out: &text}
	for _, f := range families() {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		r.name = f.name
		f.read(r)
	}
	_, err := w.Write(text.Bytes())
	return err
}

// families are all metrics of an instance. Every series exists from the start.
func families() []family {
	return append(instanceFamilies(), append(supervisorFamilies(), announcementFamilies()...)...)
}

func instanceFamilies() []family {
	return []family{
		{"handover_build_info", gaugeMetric, "Always 1. The label is the version of this program.", func(r *reading) {
			r.put(label("version", r.c.o.Version), 1)
		}},
		{"process_start_time_seconds", gaugeMetric, "When this process began, in seconds since the Unix epoch.", func(r *reading) {
			r.put("", seconds(r.c.began))
		}},
		{"handover_phase", gaugeMetric, "1 for the present phase of this instance, 0 for the others.", func(r *reading) {
			now := r.p.decision.Phase
			if !r.p.reconciled {
				now = peer.PhaseStarting
			}
			for phase := peer.PhaseStarting; phase <= peer.PhaseGone; phase++ {
				r.put(label("phase", phase.String()), one(now == phase))
			}
		}},
		{"handover_condition", gaugeMetric, "1 for the present status of each condition, 0 for the others.", readConditions},
		{"handover_failed", gaugeMetric, "1 after a panic: this instance decides nothing any more, its workload goes on.", func(r *reading) {
			r.put("", one(r.p.failure != ""))
		}},
		{"handover_told_timestamp_seconds", gaugeMetric, "When this instance was told to stop, in seconds since the Unix epoch; 0: it was not.", func(r *reading) {
			r.put("", seconds(r.p.snapshot.Self.ToldAt))
		}},
		{"handover_hold_remaining_seconds", gaugeMetric, "For how long this instance can still hold; 0 while it does not.", func(r *reading) {
			left := time.Duration(0)
			if ends := r.p.decision.HoldEnds; !ends.IsZero() {
				left = max(0, ends.Sub(r.now))
			}
			r.put("", left.Seconds())
		}},
		{"handover_peers", gaugeMetric, "Other instances of the service that are not gone, by whether they are younger than this one.", readPeers},
		{"handover_peer_restarts_total", counterMetric, "Processes that were heard from a container in which this instance had heard another one before.", func(r *reading) {
			r.put("", float64(r.c.counters.peerRestarts.Load()))
		}},
		{"handover_unready_takeovers_total", counterMetric, "Older instances that were told to stop and have drained before this one was ready, while nobody else was heard serving.", func(r *reading) {
			r.put("", float64(r.c.counters.unready.Load()))
		}},
		{"handover_reconciles_total", counterMetric, "How often the loop went round.", func(r *reading) {
			r.put("", float64(r.c.counters.reconciles.Load()))
		}},
		{"handover_decisions_total", counterMetric, "Decisions for another reason than that of the one before, by reason.", func(r *reading) {
			for i, reason := range decisionReasons {
				r.put(label("reason", string(reason)), float64(r.c.counters.decisions[i].Load()))
			}
		}},
		{"handover_workload_starts_total", counterMetric, "Starts of the workload by this process.", func(r *reading) {
			r.put("", float64(r.c.counters.starts.Load()))
		}},
		{"handover_stage_duration_seconds", histogramMetric, "How long each stage of a hand-over took.", func(r *reading) {
			for i, stage := range stageNames {
				r.c.counters.stages[i].read(r, label("stage", stage))
			}
		}},
	}
}

func supervisorFamilies() []family {
	return []family{
		{"handover_supervisor_requests_total", counterMetric, "Requests for the list of containers that were answered or have failed, by outcome.", func(r *reading) {
			for i, outcome := range outcomes {
				r.put(label("outcome", string(outcome)), float64(r.c.counters.asked[i].Load()))
			}
		}},
		{"handover_supervisor_request_duration_seconds", histogramMetric, "How long those requests took, whatever their outcome.", func(r *reading) {
			r.c.counters.took.read(r, "")
		}},
		{"handover_supervisor_answer_timestamp_seconds", gaugeMetric, "When the last usable answer was asked for, in seconds since the Unix epoch; 0: there is none.", func(r *reading) {
			r.put("", seconds(r.p.snapshot.Supervisor.RequestedAt))
		}},
	}
}

func announcementFamilies() []family {
	each := func(value func(*peer.WayStats) uint64) func(*reading) {
		return func(r *reading) {
			for i := range r.stats.Ways {
				r.put(label("way", r.stats.Ways[i].Name), float64(value(&r.stats.Ways[i])))
			}
		}
	}
	kernel := func(value func(*peer.KernelStats) (float64, bool)) func(*reading) {
		return func(r *reading) {
			for i := range r.stats.Ways {
				if k := r.stats.Ways[i].Kernel; k != nil {
					if v, ok := value(k); ok {
						r.put(label("way", r.stats.Ways[i].Name), v)
					}
				}
			}
		}
	}
	return []family{
		{"handover_announcements_sent_total", counterMetric, "Announcements sent, by way.", each(func(w *peer.WayStats) uint64 { return w.Sent })},
		{"handover_announcements_send_failures_total", counterMetric, "Announcements that could not be sent to anybody, by way.", each(func(w *peer.WayStats) uint64 { return w.SendErrors })},
		{"handover_announcements_received_total", counterMetric, "Announcements received, dropped ones included, by way.", each(func(w *peer.WayStats) uint64 { return w.Received })},
		{"handover_announcements_dropped_total", counterMetric, "Announcements received and dropped, by way and reason.", func(r *reading) {
			for i := range r.stats.Ways {
				w := &r.stats.Ways[i]
				for _, reason := range peer.DropReasons() {
					r.put(label("way", w.Name)+","+label("reason", reason.String()), float64(w.Dropped(reason)))
				}
			}
		}},
		{"handover_announcements_throttled_total", counterMetric, "How often reading was paused because of a flood, by way.", each(func(w *peer.WayStats) uint64 { return w.Throttled })},
		{"handover_announcements_filter", gaugeMetric, "1 if the kernel drops foreign datagrams before they wake this process, by way.", kernel(func(k *peer.KernelStats) (float64, bool) {
			return one(k.Filter), true
		})},
		{"handover_announcements_kernel_drops_total", counterMetric, "Datagrams that the kernel dropped at the socket, by way.", kernel(func(k *peer.KernelStats) (float64, bool) {
			return float64(k.Drops), k.DropsKnown
		})},
		{"handover_status_messages_sent_total", counterMetric, "Status messages of handover-lib 0.2 sent, by way.", each(func(w *peer.WayStats) uint64 { return w.StatusSent })},
	}
}

func readConditions(r *reading) {
	for _, t := range []decide.ConditionType{decide.Ready, decide.YoungerAnnounced, decide.YoungerRunning, decide.Drained, decide.Complete} {
		now := decide.Unknown
		for _, c := range r.p.decision.Conditions {
			if c.Type == t {
				now = c.Status
			}
		}
		for _, status := range []decide.ConditionStatus{decide.True, decide.False, decide.Unknown} {
			r.put(label("type", string(t))+","+label("status", string(status)), one(now == status))
		}
	}
}

func readPeers(r *reading) {
	s := &r.p.snapshot
	var count [3]int
	ages := [...]decide.Age{decide.Younger, decide.Older, decide.AgeUnknown}
	for i := range s.Peers {
		p := &s.Peers[i]
		for a, age := range ages {
			if !p.Ended() && s.Age(p) == age {
				count[a]++
			}
		}
	}
	for a, age := range ages {
		r.put(label("age", age.String()), float64(count[a]))
	}
}

// seconds is a time in seconds since the Unix epoch; 0 if it is unknown.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
