package live

import (
	"context"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/peer"
)

// defaultLimit is how long all looks together may take.
const defaultLimit = 8 * time.Second

// Options say what to look at.
type Options struct {
	// Loaded is the configuration.
	Loaded *config.Loaded
	// Version is that of this program.
	Version string
	// Get asks the instance of this container over its status socket. Its error
	// means that nobody answers. Nil: there is no socket.
	Get func(ctx context.Context, path string) (io.ReadCloser, error)

	limit time.Duration // for tests; 0: defaultLimit
}

// facts are what was looked at. What is judged is judged from them alone.
type facts struct {
	cfg     *config.Config
	loaded  *config.Loaded
	version string
	uid     string

	identity   *identity
	instance   *instance
	network    *network
	folder     *folder
	supervisor *answers
	marker     *marker
	status     *addresses
}

// looks are going on in the background, until it is too late for them, as where
// a file system does not answer. Then what they find is not taken any more.
type looks struct {
	mu      sync.Mutex
	over    bool
	running sync.WaitGroup
}

// begin begins a look. P is a pointer: so there is one of it for all types.
func begin[P any](l *looks, into *P, at func() P) {
	l.running.Go(func() {
		found := at()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.over {
			*into = found
		}
	})
}

// wait waits until all are over, or for a moment longer than ctx: those who end
// with it need that to say so.
func (l *looks) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		timer := time.NewTimer(lateAfter)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// lateAfter is what looks may take longer than the limit.
const lateAfter = 300 * time.Millisecond

// Check looks at everything at once, and reports in a fixed order.
func Check(ctx context.Context, o Options) check.Report { return gather(ctx, o).judge() }

// gather looks at everything. What is not over in time stays late.
func gather(ctx context.Context, o Options) *facts {
	cfg, limit := &o.Loaded.Config, o.limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f := &facts{
		cfg: cfg, loaded: o.Loaded, version: o.Version, uid: strconv.Itoa(os.Geteuid()),
		identity: &identity{late: true}, instance: &instance{late: true}, network: &network{late: true}, folder: &folder{late: true},
		supervisor: &answers{late: true}, marker: &marker{late: true}, status: &addresses{late: true},
	}
	var l looks
	begin(&l, &f.identity, func() *identity { return lookAtIdentity(cfg) })
	begin(&l, &f.instance, func() *instance { return ask(ctx, cfg, o.Get) })
	begin(&l, &f.network, func() *network { return lookAtNetwork(ctx, cfg) })
	begin(&l, &f.folder, func() *folder { return lookAtFolder(cfg.Announce.Folder) })
	begin(&l, &f.supervisor, func() *answers { return askSupervisor(ctx, cfg) })
	begin(&l, &f.marker, func() *marker { return lookAtMarker(cfg.Policy.CompletePath) })
	begin(&l, &f.status, func() *addresses { return lookAtAddresses(ctx, cfg) })
	l.wait(ctx)
	return f
}

// judge turns the facts into findings.
func (f *facts) judge() check.Report {
	var r report
	f.judgeConfiguration(&r)
	f.judgeIdentity(&r)
	f.judgeInstance(&r)
	f.judgeNetwork(&r)
	f.judgeFolder(&r)
	f.judgeSupervisor(&r)
	f.judgeMarker(&r)
	f.judgeGrace(&r)
	f.judgeStatus(&r)
	return r.findings
}

// container is the id of this instance's container, empty if it is not known.
func (f *facts) container() peer.ContainerID { return f.identity.self.Container }

// asks reports whether the Supervisor is to be asked.
func (f *facts) asks() bool {
	sv := &f.cfg.Supervisor
	return sv.Mode == config.SupervisorRequired || sv.Mode == config.SupervisorAuto && sv.Address != ""
}

// mode says why the Supervisor is to be asked.
func (f *facts) mode() string {
	sv := &f.cfg.Supervisor
	if sv.Mode == config.SupervisorAuto {
		return "supervisor.mode is auto, and there is an address: " + sv.Address
	}
	return "supervisor.mode is " + sv.Mode
}

// short rounds a measured time to what people want to read.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
