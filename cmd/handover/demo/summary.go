package demo

import (
	"slices"
	"sort"
	"time"
)

// shortWork is the most work of a request that counts as a short one.
const shortWork = 100 * time.Millisecond

// Summary is what a log says about a run.
type Summary struct {
	Total  int
	Failed int
	// Backends are in the order of their first request.
	Backends []BackendCount
	// Nobody counts failed requests for which no backend was ready.
	Nobody  int
	Reasons []ReasonCount // most frequent first

	// Sending is from the begin of the first request to the begin of the last.
	Sending   Span
	PerSecond float64 // begun while sending

	// P50 and P99 are how long the short requests took that were answered: half
	// of them, and 99 of 100, took at most that. Short is what asks for at most
	// 100 ms of work.
	P50, P99 time.Duration
	// Longest is the longest wait, beyond the work that the request asked for.
	Longest Wait
	// Gap is the longest time while sending in which no request was answered.
	Gap Span
	// Outages are in the order of time.
	Outages []Outage
}

// ReasonCount says how many requests failed for one reason.
type ReasonCount struct {
	Reason string
	Count  int
}

// Wait is what one request had to wait.
type Wait struct {
	Took    time.Duration
	Start   time.Time
	Backend string
	Failed  bool
}

// Span is a time from Start to End.
type Span struct{ Start, End time.Time }

// Length returns how long the span is.
func (s Span) Length() time.Duration { return s.End.Sub(s.Start) }

// Outage is a time in which nobody who asked was answered: every request that
// began in it failed. It begins with the first of them and ends with the begin
// of the next request that was answered. If none was begun for a second, or
// ever, it ends with the end of its last failed request.
//
// A request that began before and is answered in it does not end it. One
// failed request between two that were answered is a short outage.
type Outage struct {
	Span
	Failed int
}

// LongestOutage returns the longest one, or a zero Outage if there was none.
func (s *Summary) LongestOutage() Outage {
	var longest Outage
	for _, o := range s.Outages {
		if o.Length() > longest.Length() {
			longest = o
		}
	}
	return longest
}

// Summary looks at everything that the log holds.
func (l *Log) Summary() Summary {
	l.mu.Lock()
	records := slices.Clone(l.records)
	origin, backends, reasons := l.origin, slices.Clone(l.backends), slices.Clone(l.reasons)
	l.mu.Unlock()
	if len(records) == 0 {
		return Summary{}
	}
	sort.SliceStable(records, func(i, j int) bool { return records[i].start < records[j].start })

	s := Summary{Total: len(records)}
	byBackend := make([]*BackendCount, len(backends))
	byReason := make([]int, len(reasons))
	var order []*BackendCount
	var short []time.Duration
	longest := &records[0]
	for i := range records {
		r := &records[i]
		if r.wait() > longest.wait() {
			longest = r
		}
		b := byBackend[r.backend]
		if b == nil {
			b = &BackendCount{Name: backends[r.backend]}
			byBackend[r.backend], order = b, append(order, b)
		}
		if r.failed() {
			s.Failed++
			b.Failed++
			byReason[r.reason]++
			continue
		}
		b.Answered++
		if r.asked <= shortWork {
			short = append(short, r.end-r.start)
		}
	}
	for _, b := range order {
		if b.Name == "" {
			s.Nobody = b.Failed
		} else {
			s.Backends = append(s.Backends, *b)
		}
	}
	for i, n := range byReason {
		if n > 0 {
			s.Reasons = append(s.Reasons, ReasonCount{reasons[i], n})
		}
	}
	sort.SliceStable(s.Reasons, func(i, j int) bool { return s.Reasons[i].Count > s.Reasons[j].Count })

	at := origin.Add
	first, last := records[0].start, records[len(records)-1].start
	s.Sending = Span{at(first), at(last)}
	if took := s.Sending.Length(); took > 0 {
		s.PerSecond = float64(s.Total) / took.Seconds()
	}
	slices.Sort(short)
	s.P50, s.P99 = percentile(short, 50), percentile(short, 99)
	s.Longest = Wait{Took: longest.wait(), Start: at(longest.start), Backend: backends[longest.backend], Failed: longest.failed()}
	from, to := gap(records, first, last)
	s.Gap = Span{at(from), at(to)}
	for _, o := range outages(records) {
		s.Outages = append(s.Outages, Outage{Span{at(o.from), at(o.to)}, o.failed})
	}
	return s
}

// wait is what the request took beyond its own work.
func (r *record) wait() time.Duration { return max(0, r.end-r.start-r.asked) }

// percentile returns the smallest value that p of 100 do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// gap returns the longest time without an answer between first and last.
func gap(records []record, first, last time.Duration) (from, to time.Duration) {
	ends := []time.Duration{last}
	for i := range records {
		if !records[i].failed() && records[i].end < last {
			ends = append(ends, records[i].end)
		}
	}
	slices.Sort(ends)
	before := first
	from, to = before, before
	for _, end := range ends {
		if end-before > to-from {
			from, to = before, end
		}
		before = end
	}
	return from, to
}

type window struct {
	from, to time.Duration
	failed   int
}

// apart is how long no request may begin for an outage to go on.
const apart = time.Second

// outages finds the windows in records that are sorted by their begin.
func outages(records []record) []window {
	var found []window
	var open *window // its end is that of its last failed request so far
	last := time.Duration(0)
	for i := range records {
		r := &records[i]
		if open != nil && r.start-last > apart {
			found, open = append(found, *open), nil
		}
		switch {
		case !r.failed():
			if open != nil {
				open.to = r.start
				found, open = append(found, *open), nil
			}
		case open == nil:
			open = &window{r.start, r.end, 1}
		default:
			open.to = max(open.to, r.end)
			open.failed++
		}
		last = r.start
	}
	if open != nil {
		found = append(found, *open)
	}
	return found
}
