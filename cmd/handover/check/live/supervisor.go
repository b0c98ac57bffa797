package live

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/supervisor"
)

// answers are what the Supervisor said, each to a question of its own.
type answers struct {
	late   bool
	asked  bool
	client error // the address or the key cannot be used

	ping    error
	pinged  time.Duration // how long that took
	view    supervisor.View
	viewErr error
	version string
	verErr  error
	target  supervisor.Target // to explain; zero if there is none, or no answer
}

// askSupervisor asks what can be asked, at once: one after the other it could
// take three time-outs.
func askSupervisor(ctx context.Context, cfg *config.Config) *answers {
	sv := &cfg.Supervisor
	if sv.Mode == config.SupervisorOff || sv.Address == "" {
		return new(answers)
	}
	a := &answers{asked: true}
	var client *supervisor.Client
	client, a.client = supervisor.NewClient(supervisor.Options{Address: sv.Address, APIKey: sv.APIKey.Reveal(), Timeout: sv.Timeout})
	if a.client != nil {
		return a
	}
	var all sync.WaitGroup
	began := time.Now()
	all.Go(func() { a.ping = client.Ping(ctx); a.pinged = time.Since(began) })
	all.Go(func() { a.view, a.viewErr = client.View(ctx) })
	all.Go(func() { a.version, a.verErr = client.Version(ctx) })
	all.Go(func() { a.target, _ = client.Target(ctx, cfg.Service.AppID, cfg.Service.Name) })
	all.Wait()
	return a
}

// reached reports whether anything came back.
func (a *answers) reached() bool {
	for _, err := range []error{a.ping, a.viewErr, a.verErr} {
		if e := (*supervisor.Error)(nil); err == nil || errors.As(err, &e) && e.StatusCode != 0 {
			return true
		}
	}
	return false
}

// kind is why there was no answer, empty if there was one.
func kind(err error) supervisor.Kind {
	if e := (*supervisor.Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// plainKind is the error without the advice, which findings give themselves.
func plainKind(err error) string {
	e := (*supervisor.Error)(nil)
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := string(e.Kind)
	if e.StatusCode != 0 {
		text += " " + strconv.Itoa(e.StatusCode)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}
