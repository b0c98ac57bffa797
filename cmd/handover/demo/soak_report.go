package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// line is what is shown after a hand-over. The caller holds the lock.
func (s *soak) line(t *turn, wrong []string) string {
	text := ""
	if s.o.Columns == nil || len(wrong) > 0 {
		text = fmt.Sprintf("%8s  %4d  %s -> %s  in %s: ready after %s, stop signal %s later; %d requests, %d failed, slowest %s, machine late by %s\n",
			seconds(t.began.Sub(s.began)), t.number, t.old.name, t.new.name, between(t.new.started, t.old.died),
			between(t.new.started, t.new.ready), between(t.new.ready, t.old.signalled), t.requests, t.failed, exact(t.slowest), exact(t.late))
	}
	if len(wrong) > 0 {
		text += "  " + strings.Join(wrong, "\n  ") + "\n" + s.detailsLocked(t)
	}
	return text + s.progress()
}

// between is the time between two events, if both are known.
func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "?"
	}
	return exact(to.Sub(from))
}

// progress is the line on a terminal. The caller holds the lock.
func (s *soak) progress() string {
	if s.o.Columns == nil {
		return ""
	}
	return fit(fmt.Sprintf(" %s hand-overs, %s; %d requests, %d failed; %d wrong", s.of(), s.elapsed(),
		s.across.requests+s.quiet.requests, s.across.failed+s.quiet.failed, s.wrongs), s.o.Columns()-1)
}

// exact writes a duration in milliseconds.
func exact(d time.Duration) string { return d.Round(time.Millisecond).String() }

// of says how many of how many.
func (s *soak) of() string {
	if s.o.Handovers > 0 {
		return fmt.Sprintf("%d of %d", s.done, s.o.Handovers)
	}
	return fmt.Sprint(s.done)
}

func (s *soak) elapsed() string {
	text := time.Since(s.began).Round(time.Second).String()
	if s.o.For > 0 {
		text += " of " + s.o.For.String()
	}
	return text
}

// print writes in place of the progress.
func (s *soak) print(text string) {
	if s.o.Columns != nil {
		text = "\r\x1b[K" + text
	}
	_, _ = io.WriteString(s.o.Out, text)
}

func (s *soak) details(t *turn) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detailsLocked(t)
}

// detailsLocked tells what happened in a hand-over that was wrong, if it is one
// of the first.
func (s *soak) detailsLocked(t *turn) string {
	const most = 5
	if s.detailed++; s.detailed > most {
		return ""
	}
	text := fmt.Sprintf("what happened in hand-over %d:\n%s\n", t.number, strings.Join(t.lines, "\n"))
	for _, l := range []*life{t.old, t.new} {
		if l != nil {
			text += fmt.Sprintf("log of container %s:\n%s", l.name, l.log.text())
		}
	}
	return text
}

// report prints what came out.
func (s *soak) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	row := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	row("\nSupervisor %s: %s hand-overs in %v", s.o.Version.Name, s.of(), time.Since(s.began).Round(time.Second))
	const columns = " %-30s %9s %9s %9s %9s %9s %9s"
	row("\n"+columns, "requests, wait beyond own work", "count", "failed", "p50", "p99", "p99.9", "max")
	for _, each := range []struct {
		name string
		of   *series
	}{{"during hand-overs", &s.across}, {"quiet times", &s.quiet}} {
		w := &each.of.waits
		row(" %-30s %9d %9d %9s %9s %9s %9s", each.name, each.of.requests, each.of.failed,
			brief(w.Quantile(0.5)), brief(w.Quantile(0.99)), brief(w.Quantile(0.999)), brief(w.Max()))
	}
	row(" %-50s %9s %9s %9s %9s", "this process is woken late by", brief(s.late.Quantile(0.5)), brief(s.late.Quantile(0.99)),
		brief(s.late.Quantile(0.999)), brief(s.late.Max()))
	row("\n %-45s %9s %9s", "hand-overs", "median", "worst")
	for _, each := range []struct {
		name string
		of   *Histogram
	}{{"readiness to the old one's stop signal (*)", &s.toStop}, {"new one's start to the old one's end", &s.took}} {
		row(" %-45s %9s %9s", each.name, exact(each.of.Quantile(0.5)), exact(each.of.Max()))
	}
	row(" (*) %v of it are policy.settle and policy.drain_delay", 2*proxyTime)
	row("\n %-30s %14s %14s %14s", "growth, least of", "first quarter", "last quarter", "bound")
	for kind := range s.growth.kinds {
		first, last := s.growth.kinds[kind].quarters()
		bound := "too few"
		if s.growth.judged() {
			bound = amount(kind, s.growth.bound(kind))
		}
		row(" %-30s %14s %14s %14s", growthBounds[kind].name, amount(kind, first), amount(kind, last), bound)
	}
	left := "nothing"
	if len(s.left) > 0 {
		left = strings.Join(s.left, ", ")
	}
	row("\n left behind: %s", left)
	row("\n%d hand-overs, %d requests, %d failed", s.done, s.across.requests+s.quiet.requests, s.across.failed+s.quiet.failed)
	s.print(b.String())
}
