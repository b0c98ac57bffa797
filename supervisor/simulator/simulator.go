package simulator

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Options are what a [Simulator] needs to know.
type Options struct {
	Version Version
	Runtime Runtime
	// Marker is where the service's containers find the shared folder's
	// handover-complete; nil: they have none.
	Marker Marker
	// AppID and Service name the service. Zero values: 1234 and main.
	AppID   int64
	Service string
	// APIKey is the service's first key; empty: a random one.
	APIKey string
	// GlobalKey is the Supervisor's own key, which the host uses; empty: none.
	GlobalKey string
	// Address is BALENA_SUPERVISOR_ADDRESS of the containers, as http://host:port.
	Address string
	// Seed decides every random time and id. The same seed does the same, as
	// long as nothing else differs.
	Seed uint64
	// OnEvent is told of each event, one after the other. It must not block, nor
	// call the simulator.
	OnEvent func(Event)
	// Clock is the device's wall clock; nil: time.Now. Only the containers'
	// creation times depend on it.
	Clock func() time.Time
	// CleanImages: images of other releases are deleted after an update. The
	// recordings have both.
	CleanImages bool
	// Present are releases whose images are on the device already.
	Present []Release
	// BeforeStop is added to the time between the start of the new container
	// and the stop of the old one: a slow or busy device.
	BeforeStop time.Duration
	// Busy is a device under load: a container's start takes up to 3.2 s, and the
	// old one is stopped up to 0.5 s after it (measured).
	Busy bool
	// NeverFails: no rename fails. Then a Supervisor that was killed between rename
	// and create is not stuck, and a crash loop does not keep its own fix away. It
	// is for tests of something else that wait until every target is applied.
	NeverFails bool
	// Beside names another service of the app; empty: there is none. It is the
	// same in every release, so its container is only renamed. It has no process,
	// and is not among [Simulator.Containers].
	Beside string
}

// Simulator is a Supervisor with its engine. Make it with [New], give it a
// target, and [Simulator.Close] it.
type Simulator struct {
	o    Options
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // of everything that runs

	mu         sync.Mutex
	rng        *rand.Rand
	containers []*container // the oldest first; those that exist
	images     []*image
	installing *Release // being created, and not there yet
	target     *Release
	commit     string // of the release that is regarded as current
	applying   bool
	key        string
	keys       int // how often it was changed
	stopped    bool
	locked     bool // by the service
	handing    bool // a hand-over is under way
	lockedOut  bool // by a lock that a killed Supervisor left
	down       int  // how often the Supervisor was ended and did not start again
	ups        int  // how many starts are under way
	failures   int  // in a row; each doubles the pause before the next try
	renamed    bool // a container was only renamed for the target
	restarting bool // the service, as the API was asked to
	crashAt    string
	beside     *container
	faults     []*Fault
	stale      map[string]answer

	changed  chan struct{}   // closed and replaced at each change
	running  context.Context // of the loop: it ends with this Supervisor
	stopLoop context.CancelFunc
	loopDone chan struct{}
	doors    []*door

	telling sync.Mutex // events are told one at a time
}

// image is an image that the Supervisor knows.
type image struct {
	release Release
	status  string
}

// New returns a running Supervisor without a target.
func New(o Options) (*Simulator, error) {
	switch {
	case o.Runtime == nil:
		return nil, errors.New("simulator: new: a Runtime is needed, such as Processes or Scripted")
	case o.Version.Name == "":
		return nil, errors.New("simulator: new: a Version is needed, see ByName")
	}
	if o.AppID == 0 {
		o.AppID = 1234
	}
	if o.Service == "" {
		o.Service = "main"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Marker == nil {
		o.Marker = noMarker{}
	}
	s := &Simulator{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 1)), key: o.APIKey,
		changed: make(chan struct{}), stale: map[string]answer{},
	}
	if s.key == "" {
		s.key = s.hex(32)
	}
	for _, r := range o.Present {
		s.images = append(s.images, &image{release: r, status: "Downloaded"})
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.startLoop(false)
	return s, nil
}

// Close ends everything: the Supervisor, and the containers with SIGKILL. It
// returns when nothing runs any more.
func (s *Simulator) Close() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.end()
	for _, c := range s.all() {
		c.destroyed()
	}
	s.reopen() // a Supervisor that has ended refuses
	s.work.Wait()
}

// SetTarget gives the Supervisor another target release, as the cloud does.
func (s *Simulator) SetTarget(r Release) {
	s.mu.Lock()
	s.target = &r
	s.applying = true
	s.wakeLocked()
	s.mu.Unlock()
	s.tell(Event{Kind: EventTarget, Release: r})
}

// Target is the target release; the zero Release before there was one.
func (s *Simulator) Target() Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target == nil {
		return Release{}
	}
	return *s.target
}

// APIKey is the key that is accepted now.
func (s *Simulator) APIKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// Containers are copies of those that exist, the oldest first.
func (s *Simulator) Containers() []Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Container
	for _, c := range s.containers {
		all = append(all, c.public(s))
	}
	return all
}

// Stuck tells whether the last step failed: the Supervisor tries it again after
// a pause, perhaps in vain for ever.
func (s *Simulator) Stuck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applying && s.failures > 0
}

// Settled tells whether the target is applied and nothing is being stopped.
func (s *Simulator) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.applying
}

// Wait returns when what a function says of the simulator is true, or ctx ends.
// The function is asked again at each change.
func (s *Simulator) Wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Simulator) all() []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.containers)
}

func (s *Simulator) find(id string) *container {
	for _, c := range s.all() {
		if c.id == id {
			return c
		}
	}
	return nil
}

// wakeLocked wakes all who wait for a change.
func (s *Simulator) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// update changes something under the lock and wakes those who wait.
func (s *Simulator) update(change func()) {
	s.mu.Lock()
	change()
	s.wakeLocked()
	s.mu.Unlock()
}

// tell tells of an event.
func (s *Simulator) tell(e Event) {
	s.telling.Lock()
	defer s.telling.Unlock()
	e.At = time.Now()
	if s.o.OnEvent != nil {
		s.o.OnEvent(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashAt == e.Kind && e.Container != "" {
		s.crashAt = ""
		s.lockedOut = s.lockedOut || s.o.Version.locks && s.handing
		done := s.endLocked()
		s.work.Go(func() { s.ended(done) })
		return
	}
	s.wakeLocked()
}

// pick takes a random time in a range.
func (s *Simulator) pick(b between) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.least + time.Duration(s.rng.Int64N(int64(b.most-b.least)+1))
}

// hex makes n random hexadecimal digits; the caller holds the lock, or is alone.
func (s *Simulator) hex(n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[s.rng.IntN(16)]
	}
	return string(b)
}

// sleep returns false if ctx ended before.
func (s *Simulator) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
