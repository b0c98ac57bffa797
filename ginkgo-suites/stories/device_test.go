package stories_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/peer"
	"github.com/handover-controller/handover/peer/peertest"
	"github.com/handover-controller/handover/supervisor"

	"github.com/handover-controller/handover/controller/decide"
)

const (
	app     = "1234"
	service = "main"
	// latency is how long the Supervisor takes to answer.
	latency = 15 * time.Millisecond
	// timeout is how long a request may take: supervisor.timeout.
	timeout = 5 * time.Second
)

// device is a balena device: containers of one service, a network, a
// Supervisor, a shared folder with the marker.
type device struct {
	network *peertest.Network
	began   time.Time
	boot    string
	policy  decide.Policy
	legacy  bool

	mu         sync.Mutex
	containers []*container
	trouble    error // what the Supervisor answers instead
	refusal    error // the same, but pings are answered
	clock      time.Duration
	requests   int
	slow       time.Duration // how much longer it takes to answer
	hang       int           // how many requests are not answered
	atOnce     int           // requests under way
	most       int           // the most of them
	marker     bool
	markers    []string // what happened to the marker, and who was killed

	first    time.Time // when somebody was first ready
	servedBy map[*container]bool
	unserved []time.Duration // since began, when nobody served
	twice    []string        // drains that began twice

	peers   func(*peer.Node) controller.Peers // what stands between the controllers and their nodes
	lock    *lock                             // of exclusive workloads; nil: there is none
	running map[*container]bool
	idle    time.Time     // since when no workload has run
	longest time.Duration // for which none ran, since the first one
	crowded []string      // workloads that began while another one ran
}

func newDevice() *device {
	return &device{
		network: peertest.NewNetwork(peertest.Options{Seed: 1, Delay: time.Millisecond}),
		began:   time.Now(), boot: "11111111-1111-1111-1111-111111111111", legacy: true,
		servedBy: map[*container]bool{}, running: map[*container]bool{},
		policy: decide.Policy{
			PollInterval: time.Second, Discovery: 3 * time.Second, UnknownAfter: 5 * time.Second,
			StopGracePeriod: 10 * time.Second, DrainTimeout: 30 * time.Second, DrainReserve: 3 * time.Second,
			NotReadyAfter: 1500 * time.Millisecond, LegacyExpireAfter: 35 * time.Second,
		},
	}
}

// now is the time since the story began.
func (d *device) now() time.Duration { return time.Since(d.began) }

// uptime is the boot clock of the device.
func (d *device) uptime() time.Duration { return time.Hour + d.now() }

// wait lets virtual time pass.
func (d *device) wait(t time.Duration) {
	time.Sleep(t)
	synctest.Wait()
}

// wall is the device's wall clock.
func (d *device) wall() time.Time { return time.Now().Add(d.clock) }

// container is one container and the processes that run in it one after the
// other.
type container struct {
	d       *device
	letter  string
	status  supervisor.Status
	removed bool
	created time.Time
	image   int64

	start      peer.FirstStart
	startMilli int64
	runs       int
	policy     decide.Policy
	workload   *workloadFake
	node       *peer.Node
	controller *controller.Controller
	cancel     context.CancelFunc
	over       chan struct{} // closed when the process has ended
	code       int
	anonymous  bool // does not know its own id
	unreadable bool // has no record of its first start

	// Of a container of the simulated Supervisor; else the device's own.
	longID     string
	supervisor controller.Supervisor
	marker     controller.Marker

	owner    *owner
	restarts bool // Docker restarts it, and that is reported as running
}

// plan says how a container's workload behaves.
type plan struct {
	readyAfter time.Duration   // 0: at once; negative: never
	drains     time.Duration   // how long its work takes after the stop signal
	hangs      bool            // ignores the stop signal
	crashes    []time.Duration // how long each of its first runs lasts, which ends with status 3
	policy     func(*decide.Policy)
	anonymous  bool
	unreadable bool
	preflight  func(context.Context) error
	startTakes time.Duration // how long starting the workload holds up the loop
}

// create makes a container that is listed but not started.
func (d *device) create(letter string) *container {
	c := &container{d: d, letter: letter, status: "Installed", created: d.wall(), image: int64(500 + len(d.containers))}
	d.mu.Lock()
	d.containers = append(d.containers, c)
	d.mu.Unlock()
	return c
}

// start creates a container and starts it.
func (d *device) start(letter string, p plan) *container {
	c := d.create(letter)
	c.run(p)
	return c
}

func (c *container) id() string {
	if c.longID != "" {
		return c.longID
	}
	return strings.Repeat(c.letter, 64)
}

func (c *container) short() peer.ContainerID { return peer.ContainerID(c.id()[:12]) }

// run starts a process in the container: the first one, or another one.
func (c *container) run(p plan) {
	c.policy = c.d.policy
	if p.policy != nil {
		p.policy(&c.policy)
	}
	c.anonymous, c.unreadable = p.anonymous, p.unreadable
	if c.runs == 0 {
		c.start = peer.FirstStart{Boot: peer.BootHash(c.d.boot), Since: time.Second + c.d.now()}
		c.startMilli = c.d.wall().UnixMilli()
	}
	c.runs++
	c.set("Running")
	digest := sha256.Sum256(fmt.Append(nil, c.letter, c.runs))
	self := peer.Identity{
		Instance:      peer.InstanceID(digest[:16]),
		Container:     c.short(),
		FirstStart:    c.start,
		StartMilli:    c.startMilli,
		FirstSequence: uint64(c.d.now()) + 1,
	}
	if p.anonymous {
		self.Container, self.FirstStart = "", peer.FirstStart{}
	}
	if p.unreadable {
		self.FirstStart = peer.FirstStart{}
	}
	if c.supervisor == nil {
		c.supervisor = supervisorFor(c.d)
	}
	if c.marker == nil {
		c.marker = markerOf{c}
	}
	var err error
	c.node, err = peer.Start(peer.Config{
		Self: self, Domain: peer.NewDomain(c.d.boot, app, service), Legacy: c.d.legacy,
		Ways: []peer.Way{c.d.network.Attach(c.letter)}, Logger: logger(c.letter),
		Uptime: c.d.uptime,
	})
	Expect(err).NotTo(HaveOccurred())
	c.workload = newWorkload(c, p)
	options := controller.Options{
		Policy: c.policy, AppID: app, Service: service, Peers: c.node, Supervisor: c.supervisor,
		Workload: c.workload, Marker: c.marker, Logger: logger(c.letter),
		Self: decide.Self{
			Instance: self.Instance, Container: self.Container, FirstStart: self.FirstStart, StartMilli: self.StartMilli,
			Boot: peer.BootHash(c.d.boot), Restarted: c.runs > 1 && !p.unreadable && !p.anonymous,
		},
	}
	options.Preflight = p.preflight
	if c.d.peers != nil {
		options.Peers = c.d.peers(c.node)
	}
	if c.d.lock != nil {
		c.owner = c.d.lock.owner()
		options.Owner = c.owner
	}
	c.controller, err = controller.New(options)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.over = cancel, make(chan struct{})
	go func(over chan struct{}, node *peer.Node, workload *workloadFake, ctl *controller.Controller, own *owner) {
		defer close(over)
		code, err := ctl.Run(ctx)
		workload.kill()
		own.Want(false)
		if err == nil || ctx.Err() == nil {
			_ = node.Close(ctx)
			if !c.restarts {
				c.set("exited")
			}
		}
		c.code = code
	}(c.over, c.node, c.workload, c.controller, c.owner)
}

func supervisorFor(d *device) controller.Supervisor {
	if d.policy.SupervisorOff {
		return nil
	}
	return (*supervisorFake)(d)
}

// set changes what the Supervisor reports.
func (c *container) set(status supervisor.Status) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.status = status
}

// hide takes a container off the list for a while.
func (c *container) hide(yes bool) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.removed = yes
}

// remove takes a container off the list for good.
func (c *container) remove() { c.hide(true) }

// term is docker stop: SIGTERM now, SIGKILL when the grace period is over.
func (c *container) term() {
	c.set("Stopping")
	c.controller.Tell()
	over, d := c.over, c.d
	time.AfterFunc(c.policy.StopGracePeriod, func() {
		select {
		case <-over:
		default:
			d.mu.Lock()
			d.markers = append(d.markers, c.letter+" was killed")
			d.mu.Unlock()
			c.kill()
		}
	})
}

// kill ends the process without a word.
func (c *container) kill() {
	c.workload.kill()
	c.d.network.Partition([]string{c.letter}) // its last datagrams never leave
	c.cancel()
	_ = c.node.Close(canceled())
	<-c.over
	c.d.network.Heal()
	c.set("exited")
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// alive reports whether the container's process runs.
func (c *container) alive() bool {
	select {
	case <-c.over:
		return false
	default:
		return true
	}
}

// status is the instance's status.
func (c *container) state() controller.Status { return c.controller.Status() }

func (c *container) phase() string {
	if !c.alive() {
		return "ended"
	}
	return c.state().Phase
}

// end ends everything that still runs.
func (d *device) end() {
	for _, c := range d.containers {
		if c.over != nil && c.alive() {
			c.kill()
		}
	}
}

// serving are the containers whose workload serves.
func (d *device) serving() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for c, serves := range d.servedBy {
		if serves {
			all = append(all, c.letter)
		}
	}
	slices.Sort(all)
	return all
}

// serves notes that a workload begins or ends to serve. The device remembers
// when nobody does.
func (d *device) serves(c *container, yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.servedBy[c] = yes
	if yes && d.first.IsZero() {
		d.first = time.Now()
	}
	if d.first.IsZero() || yes {
		return
	}
	for _, serves := range d.servedBy {
		if serves {
			return
		}
	}
	d.unserved = append(d.unserved, d.now())
}

// runs notes that a workload begins or ends to run.
func (d *device) runs(c *container, yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if yes == d.running[c] {
		return
	}
	if yes && len(d.running) > 0 {
		d.crowded = append(d.crowded, c.letter)
	}
	if yes && !d.idle.IsZero() {
		d.longest = max(d.longest, time.Since(d.idle))
	}
	if yes {
		d.running[c] = true
	} else {
		delete(d.running, c)
	}
	if d.idle = (time.Time{}); len(d.running) == 0 {
		d.idle = time.Now()
	}
}

// drainedTwice notes a drain that began although one had begun before.
func (d *device) drainedTwice(c *container) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.twice = append(d.twice, c.letter)
}

// reboots forgets what was before: nobody serves while the device starts.
func (d *device) reboots(boot string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot, d.first, d.unserved, d.markers = boot, time.Time{}, nil, nil
}

// expectNoOutage fails if at any time since the first readiness nobody served.
func (d *device) expectNoOutage() {
	d.mu.Lock()
	defer d.mu.Unlock()
	ExpectWithOffset(1, d.unserved).To(BeEmpty(), "at these times nobody served")
	ExpectWithOffset(1, d.twice).To(BeEmpty())
	ExpectWithOffset(1, d.first).NotTo(BeZero())
}

// markerOf is the marker as one container sees it.
type markerOf struct{ c *container }

func (m markerOf) Write() error {
	d := m.c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.servedBy[m.c] {
		d.markers = append(d.markers, m.c.letter+" wrote while it serves")
	}
	d.marker = true
	d.markers = append(d.markers, m.c.letter+" wrote")
	return nil
}

func (m markerOf) Remove() (bool, error) {
	d := m.c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.marker
	d.marker = false
	return was, nil
}

// marked is what happened to the marker so far, and who was killed.
func (d *device) marked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.markers)
}

// requested is how often the Supervisor was asked.
func (d *device) requested() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests
}

func (d *device) hasMarker() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marker
}

// supervisorFake answers with the device's containers.
type supervisorFake device

var (
	errDown    = &supervisor.Error{Op: "view", Kind: supervisor.KindUnreachable, Err: errors.New("connection refused")}
	errRotated = &supervisor.Error{Op: "view", Kind: supervisor.KindUnauthorized, StatusCode: 401, Err: errors.New("Unauthorized")}
)

// hangs makes the Supervisor not answer its next requests.
func (d *device) hangs(requests int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang = requests
}

// mostAtOnce is how many requests were under way at a time.
func (d *device) mostAtOnce() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.most
}

// breaks makes the Supervisor answer with an error, or well again with nil.
func (d *device) breaks(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = err
}

// refuses makes the Supervisor answer with an error, but to pings.
func (d *device) refuses(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusal = err
}

func (s *supervisorFake) View(ctx context.Context) (supervisor.View, error) {
	v := supervisor.View{RequestedAt: time.Now()}
	s.mu.Lock()
	takes := latency + s.slow
	if s.hang > 0 {
		s.hang--
		takes = timeout
	}
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	s.mu.Unlock()
	var err error
	select {
	case <-time.After(min(takes, timeout)):
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atOnce--
	s.requests++
	switch {
	case err != nil:
		return supervisor.View{}, err
	case takes >= timeout:
		return supervisor.View{}, &supervisor.Error{Op: "view", Kind: supervisor.KindTimeout, Err: context.DeadlineExceeded}
	}
	if err := cmp.Or(s.trouble, s.refusal); err != nil {
		return supervisor.View{}, err
	}
	v.ReceivedAt = time.Now()
	for _, c := range s.containers {
		if !c.removed {
			v.Containers = append(v.Containers, supervisor.Container{
				ID: c.id(), Service: service, AppID: app, ImageID: c.image, Status: c.status, CreatedAt: c.created,
			})
		}
	}
	return v, nil
}

func (s *supervisorFake) Ping(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

func (s *supervisorFake) Releases(context.Context, string) (supervisor.Releases, error) {
	return supervisor.Releases{ByImage: map[int64]supervisor.ImageRelease{}}, nil
}

func (s *supervisorFake) Target(context.Context, string, string) (supervisor.Target, error) {
	return supervisor.Target{}, nil
}

// legacyPeer is a process of handover-lib that starts now and says so.
func (d *device) legacyPeer() *peertest.LegacyPeer {
	p := peertest.NewLegacyPeer(d.network.Attach(fmt.Sprint("legacy", d.now())), d.wall().UnixMilli())
	p.StartBroadcasting()
	return p
}

func lossy(loss float64) peertest.Options {
	return peertest.Options{Seed: 1, Delay: time.Millisecond, Loss: loss}
}
