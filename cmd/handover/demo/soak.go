package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// SoakOptions are what a soak needs.
type SoakOptions struct {
	Version simulator.Version
	// Program is as in Options.
	Program string
	// For: no hand-over begins later than this after the start; 0: no such end.
	For time.Duration
	// Handovers ends the soak after so many; 0: no such end.
	Handovers int
	// Trouble freezes instances for 0 to 6 s, and restarts the Supervisor, in the
	// middle of hand-overs.
	Trouble bool
	Out     io.Writer
	// Columns are those of the terminal on which a line of progress is drawn; nil:
	// one line per hand-over.
	Columns func() int
}

// Times of a soak. Readiness varies from one container to the next.
const (
	soakReadyLeast = 150 * time.Millisecond
	soakReadyMost  = 450 * time.Millisecond
	// Long requests are such that some are in flight at each stop signal.
	soakLong          = time.Second
	soakLongPerSecond = 10
	soakAtOnce        = 1000
	// soakRequest is when the front gives up. A busy machine makes requests slow,
	// which is in the report, and not failed.
	soakRequest = 10 * time.Second
	// soakQuiet is between two hand-overs, at the least: from the old container's
	// end to the next target.
	soakQuiet = 1500 * time.Millisecond
	// soakTimeout is the label of Supervisors that wait. Who is stopped by it
	// has not said that it was done.
	soakTimeout = 20 * time.Second
	// soakAtMost is how long a hand-over, and the end, may take.
	soakAtMost = 45 * time.Second
)

// ErrSoak says that not all was as it must be, or that it did not come to its
// end.
var ErrSoak = errors.New("the soak was not as it must be")

// Soak hands over again and again: real processes, a steady load, and at the
// end a report about requests, times, and what grew or was left behind. The
// error says what was wrong; nil if nothing was. An end of ctx ends it in order,
// with the report so far and an error. It needs no more memory the longer it
// takes.
//
// The releases take turns: newer ones, one that differs in a variable only, and
// one that goes back. Times of readiness are random.
func Soak(ctx context.Context, o SoakOptions) (err error) {
	if err := needLoopback(); err != nil {
		return err
	}
	dir, err := makeFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	before := sockets()
	s, err := newSoak(o, dir)
	if err != nil {
		return err
	}
	s.watchers.Go(func() { watchMachine(s.life, s.wokenLate) })
	s.play(ctx)
	s.finish(before)
	s.report()
	return s.verdict()
}

// soak is a soak that is going on.
type soak struct {
	o         SoakOptions
	dir       string
	began     time.Time
	sim       *simulator.Simulator
	processes *simulator.Processes
	front     *Front
	load      *Load
	watchers  sync.WaitGroup
	life      context.Context
	end       context.CancelFunc
	growth    growth
	left      []string

	mu      sync.Mutex
	rng     *rand.Rand
	lives   map[string]*life // by container id; of those that exist
	count   int              // containers so far
	serving *life
	turn    *turn
	done    int  // hand-overs
	window  bool // a hand-over is going on, for requests
	closed  time.Time
	across  series // requests that touch a hand-over
	quiet   series // the others
	toStop  Histogram
	took    Histogram
	late    Histogram // of this process: it waits for the processor
	wrong   []string
	wrongs  int

	detailed int // hand-overs that were shown in detail
}

// series is what became of requests.
type series struct {
	requests, failed int
	waits            Histogram // beyond their own work, of those that were answered
}

// wokenLate notes how late this process was woken.
func (s *soak) wokenLate(late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Add(late)
	if s.turn != nil {
		s.turn.late = max(s.turn.late, late)
	}
}

// request counts a request that is over. It touches a hand-over if a part of it
// lies between the start of the new container and the end of the old one.
func (s *soak) request(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.quiet
	if s.window || r.Start.Before(s.closed) {
		of = &s.across
	}
	of.requests++
	wait := r.End.Sub(r.Start) - r.Asked
	if s.turn != nil {
		s.turn.requests++
		s.turn.slowest = max(s.turn.slowest, wait)
	}
	if !r.Failed {
		of.waits.Add(wait)
		return
	}
	of.failed++
	backend := r.Backend
	if backend == "" {
		backend = "nobody"
	}
	what := fmt.Sprintf("a request of %v to %s failed after %s: %s", r.Asked, backend, brief(r.End.Sub(r.Start)), r.Reason)
	if s.turn == nil {
		s.addWrong(fmt.Sprintf("at %s %s", seconds(r.Start.Sub(s.began)), what))
		return
	}
	s.turn.failed++
	s.turn.says(r.Start, "front", what)
}

// addWrong notes what is not as it must be. The caller holds the lock.
func (s *soak) addWrong(what string) {
	const most = 20
	if s.wrongs++; s.wrongs <= most {
		s.wrong = append(s.wrong, what)
	}
}

// releases take turns. The third differs from the second in a variable only,
// and the first is a step back after the last.
func (s *soak) release(n int) simulator.Release {
	grace, timeout := 10*time.Second, soakTimeout
	if s.o.Trouble {
		grace, timeout = troubleGrace, troubleGrace
	}
	make := func(letter string, env ...string) simulator.Release {
		k := int64(letter[0] - 'a')
		return simulator.Release{
			ID: 1001 + k, ImageID: 501 + k, Commit: strings.Repeat(letter, 32), Image: "service:" + letter, Env: env,
			StopGracePeriod: grace, HandoverTimeout: timeout,
		}
	}
	switch n % 4 {
	case 0:
		return make("a")
	case 1:
		return make("b")
	case 2:
		return make("b", "VARIABLE=changed")
	}
	return make("c")
}

// play hands over until it is enough, or something is so wrong that no other
// hand-over can follow.
func (s *soak) play(ctx context.Context) {
	err := s.first(ctx)
	for n := 1; err == nil && !s.enough(n); n++ {
		err = s.handOver(ctx, n)
	}
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		err = fmt.Errorf("it was ended before its time, after %d hand-overs", s.done)
	}
	s.addWrong(err.Error())
}

func (s *soak) enough(n int) bool {
	return s.o.Handovers > 0 && n > s.o.Handovers || s.o.For > 0 && time.Since(s.began) >= s.o.For
}

// first starts the first container and the load.
func (s *soak) first(ctx context.Context) error {
	s.sim.SetTarget(s.release(0))
	err := s.until(ctx, "the first container serves", func() bool { return s.serves(s.serving) && s.sim.Settled() })
	if err != nil {
		return err
	}
	s.mu.Lock()
	text := s.progress()
	s.mu.Unlock()
	s.print(text)
	s.load = StartLoad(s.life, LoadOptions{URL: s.front.URL(), LongTakes: soakLong, LongPerSecond: soakLongPerSecond, AtOnce: soakAtOnce})
	return s.pause(ctx, soakQuiet)
}

// handOver gives the Supervisor the next target, waits until all is quiet again
// and judges what happened.
func (s *soak) handOver(ctx context.Context, n int) error {
	s.mu.Lock()
	t := &turn{number: n, began: time.Now(), old: s.serving, trouble: s.o.Trouble}
	s.turn = t
	s.mu.Unlock()
	s.sim.SetTarget(s.release(n))
	wait := func() {}
	if s.o.Trouble {
		wait = s.trouble(ctx, t)
	}
	err := s.until(ctx, fmt.Sprintf("hand-over %d is over", n), func() bool {
		return t.old.destroyed && s.serves(t.new)
	})
	wait()
	if err == nil {
		err = s.pause(ctx, soakQuiet)
	}
	if err == nil {
		err = s.until(ctx, "the Supervisor is done", s.sim.Settled)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.print(s.details(t))
		}
		return err
	}
	s.sample(t.new)
	s.print(s.over(t))
	return nil
}

// over judges a hand-over, and returns what there is to say of it.
func (s *soak) over(t *turn) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := t.wrong(s.o.Version.Waits, s.processes.Marker())
	for _, each := range wrong {
		s.addWrong(fmt.Sprintf("hand-over %d: %s", t.number, each))
	}
	if t.old.signalled.After(t.new.ready) {
		s.toStop.Add(t.old.signalled.Sub(t.new.ready))
	}
	s.took.Add(t.old.died.Sub(t.new.started))
	s.done++
	text := s.line(t, wrong)
	s.forget(t.old)
	s.serving, s.turn = t.new, nil
	return text
}

// serves reports whether the front sends requests to this one only. The caller
// holds the lock.
func (s *soak) serves(l *life) bool {
	return l != nil && slices.Equal(s.front.Ready(), []string{l.name})
}

// until waits until something is true, which is asked with the lock held.
func (s *soak) until(ctx context.Context, called string, done func() bool) error {
	const look = 10 * time.Millisecond
	most := soakAtMost
	if s.o.Trouble {
		most = troubleAtMost
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("it is not after %v", most))
	defer cancel()
	for {
		s.mu.Lock()
		so := done()
		s.mu.Unlock()
		if so {
			return nil
		}
		if err := s.pause(ctx, look); err != nil {
			return fmt.Errorf("wait until %s: %w", called, err)
		}
	}
}

// pause lets time pass.
func (s *soak) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish ends everything in order: the load, the service, the Supervisor; and
// looks at what is left then.
func (s *soak) finish(socketsBefore int) {
	if s.load != nil {
		s.load.Stop()
	}
	s.mu.Lock()
	if t := s.turn; t != nil && t.failed > 0 {
		s.addWrong(fmt.Sprintf("hand-over %d: %d of %d requests failed", t.number, t.failed, t.requests))
	}
	s.turn = nil
	s.mu.Unlock()
	s.sim.Stop()
	ctx := context.Background() // until has a limit of its own
	err := s.until(ctx, "the service has stopped", func() bool { return len(s.sim.Containers()) == 0 })
	s.left = append(s.left, s.processesLeft()...)
	s.left = append(s.left, s.filesLeft()...)
	s.sim.Close()
	s.end()
	s.watchers.Wait()
	err = errors.Join(err, s.front.Close())
	s.left = append(s.left, socketsLeft(socketsBefore)...)

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lives {
		if what := l.end(s.o.Trouble); what != "" && err == nil {
			err = errors.New("at the end " + what)
		}
	}
	if err != nil {
		s.addWrong(err.Error())
	}
	if s.load != nil {
		logged, failed := s.across.requests+s.quiet.requests, s.across.failed+s.quiet.failed
		if s.load.Sent() != logged || s.load.Errors() != failed {
			s.addWrong(fmt.Sprintf("%d requests were sent and %d failed, but the front knows of %d and %d", s.load.Sent(), s.load.Errors(), logged, failed))
		}
	}
	if s.load != nil && s.load.Skipped() > 0 {
		s.addWrong(fmt.Sprintf("%d requests were not sent: the machine is too slow for so many", s.load.Skipped()))
	}
	if s.done == 0 {
		s.addWrong("there was no hand-over")
	}
	for _, each := range s.left {
		s.addWrong("left behind: " + each)
	}
	for _, each := range s.growth.wrong() {
		s.addWrong(each)
	}
}

// verdict is nil if all went as it must.
func (s *soak) verdict() error {
	if s.wrongs == 0 {
		return nil
	}
	what := s.wrong
	if more := s.wrongs - len(what); more > 0 {
		what = append(what, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w:\n%s", ErrSoak, strings.Join(what, "\n"))
}
