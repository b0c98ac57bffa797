package demo

import (
	"slices"
	"sync"
	"time"
)

// Request is one request as the front saw it.
type Request struct {
	Start time.Time // when the front had read the request
	End   time.Time // when the front had the whole answer, or gave up
	// Asked is the work that the request asked the service for, 0 if it did not
	// say. It is no part of a wait.
	Asked   time.Duration
	Backend string // empty if there was none to send it to
	Failed  bool
	Reason  string // why it failed
}

// record is a Request in 32 bytes.
type record struct {
	start, end, asked time.Duration // start and end since the log's origin
	backend, reason   uint16        // index of the name; reason 0: it did not fail
}

func (r *record) failed() bool { return r.reason != 0 }

// Log keeps every request of a run. It is safe for concurrent use.
type Log struct {
	mu       sync.Mutex
	origin   time.Time
	records  []record // in the order of their ends, nearly
	backends []string // 0 is "": none
	reasons  []string // 0 is "": not failed
	answered []int    // by backend
	failures []int    // by backend
}

// NewLog returns an empty log.
func NewLog() *Log {
	return &Log{backends: []string{""}, reasons: []string{""}, answered: []int{0}, failures: []int{0}}
}

// unnamed stands for a failure without a reason.
const unnamed = "unknown"

// Add records a request that is over.
func (l *Log) Add(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.origin.IsZero() {
		l.origin = r.Start
	}
	entry := record{start: r.Start.Sub(l.origin), end: r.End.Sub(l.origin), asked: r.Asked}
	backend := index(&l.backends, r.Backend)
	if len(l.answered) < len(l.backends) {
		l.answered, l.failures = append(l.answered, 0), append(l.failures, 0)
	}
	entry.backend = uint16(backend)
	if r.Failed {
		reason := r.Reason
		if reason == "" {
			reason = unnamed
		}
		entry.reason = uint16(index(&l.reasons, reason))
		l.failures[backend]++
	} else {
		l.answered[backend]++
	}
	l.records = append(l.records, entry)
}

// namesAtMost bounds how many names a log can tell apart; further ones are
// taken for the last.
const namesAtMost = 1000

// index returns the place of the name in the list, to which it is added.
func index(names *[]string, name string) int {
	i := slices.Index(*names, name)
	switch {
	case i >= 0:
	case len(*names) < namesAtMost:
		i = len(*names)
		*names = append(*names, name)
	default:
		i = namesAtMost - 1
	}
	return i
}

// Counters is what a live display shows of a log.
type Counters struct {
	Total     int
	Failed    int
	PerSecond int // that ended in the last second
	Backends  []BackendCount
}

// BackendCount counts the requests that were sent to one backend.
type BackendCount struct {
	Name      string
	Answered  int
	Failed    int
	PerSecond int // that were answered in the last second
}

// Counters counts what the log holds now. It looks at the last second's
// requests only, so it may be called often.
func (l *Log) Counters(now time.Time) Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Counters{Total: len(l.records)}
	rates := make([]int, len(l.backends))
	since := now.Sub(l.origin) - time.Second
	// Records can stand in a slightly other order than that of their ends.
	const slack = 100 * time.Millisecond
	for i := len(l.records) - 1; i >= 0 && l.records[i].end > since-slack; i-- {
		r := &l.records[i]
		if r.end <= since {
			continue
		}
		c.PerSecond++
		if !r.failed() {
			rates[r.backend]++
		}
	}
	for i, name := range l.backends {
		c.Failed += l.failures[i]
		if i > 0 {
			c.Backends = append(c.Backends, BackendCount{Name: name, Answered: l.answered[i], Failed: l.failures[i], PerSecond: rates[i]})
		}
	}
	return c
}
