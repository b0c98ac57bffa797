package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"time"
)

// Readiness is how to know that the workload is ready. At most one of HTTP,
// TCP, Command, File and Notify is set; if none is, AfterAuto and After count.
// The zero value is ready at once.
type Readiness struct {
	// HTTP is a URL: an answer of 200 to 399 to a GET is ready. Redirects are
	// not followed, proxies not used, certificates not checked, connections
	// not kept.
	HTTP string
	// TCP is host:port: a connection is ready. An empty host is localhost.
	TCP string
	// Command: exit status 0 is ready. It runs without input and output, and is
	// killed with its process group after Timeout.
	Command Command
	// File is a path: ready while it exists. It is removed before the workload
	// is started. One that is not absolute starts from the workload's directory.
	File string
	// Notify gives the workload a socket in $NOTIFY_SOCKET, on which it says
	// READY=1, as sd_notify(3) does. After STOPPING=1 it is not ready any more.
	Notify bool
	// After is ready this long after the start.
	After time.Duration
	// AfterAuto is ready when a process of the workload holds a listening TCP
	// socket, else After after the start (10 s if that is 0), which is logged. A
	// socket that this process has open as well does not count: the workload was
	// started with it. Of processes that may not be looked into, the network
	// namespace tells whether they listen, if it is the container's alone.
	AfterAuto bool

	// ListensWithin counts instead of After for AfterAuto, once
	// [Workload.ExpectListening] was called. 0 is After.
	ListensWithin time.Duration

	// Period is the pause between two probes while not ready (default 500 ms).
	// The first probe is made at once; the pauses before the next ones are
	// 20, 40, 80 … ms, but never shorter than the probe itself took, up to
	// Period.
	Period time.Duration
	// Timeout limits one probe (default 1 s).
	Timeout time.Duration
	// ServingPeriod is the pause between two probes while ready (default 5 s).
	ServingPeriod time.Duration
	// Failures is how many probes in a row must fail until a workload that was
	// ready is not (default 3). File and Notify know at once.
	Failures int
}

const (
	autoAfter  = 10 * time.Second
	firstPause = 20 * time.Millisecond
)

// withDefaults checks the rule, and sets what is not set.
func (rd Readiness) withDefaults() (Readiness, error) {
	kinds := 0
	for _, set := range []bool{rd.HTTP != "", rd.TCP != "", len(rd.Command.Argv) > 0, rd.File != "", rd.Notify} {
		if set {
			kinds++
		}
	}
	if kinds > 1 {
		return rd, errors.New("workload: more than one kind of readiness is set: leave one")
	}
	if rd.Period < 0 || rd.Timeout < 0 || rd.ServingPeriod < 0 || rd.After < 0 || rd.Failures < 0 {
		return rd, errors.New("workload: a duration or count of the readiness rule is negative")
	}
	if rd.HTTP != "" {
		u, err := url.Parse(rd.HTTP)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return rd, errors.New("workload: the readiness URL is not one: it must be http://host:port/path")
		}
	}
	if rd.TCP != "" {
		if _, port, err := net.SplitHostPort(rd.TCP); err != nil || port == "" {
			return rd, fmt.Errorf("workload: readiness address %q is not one: it must be host:port", rd.TCP)
		}
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&rd.Period, 500 * time.Millisecond}, {&rd.Timeout, time.Second}, {&rd.ServingPeriod, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if rd.Failures == 0 {
		rd.Failures = 3
	}
	if rd.AfterAuto && rd.After == 0 {
		rd.After = autoAfter
	}
	return rd, nil
}

// prepare returns what waits for readiness once the run has started. What can
// be missed is subscribed to here, before it starts.
func (rd Readiness) prepare(r *run) (func(context.Context), error) {
	switch {
	case rd.HTTP != "":
		return r.polling(rd, httpProbe(rd.HTTP)), nil
	case rd.TCP != "":
		return r.polling(rd, tcpProbe(rd.TCP)), nil
	case len(rd.Command.Argv) > 0:
		return r.polling(rd, r.commandProbe(rd.Command)), nil
	case rd.File != "":
		path := rd.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.w.options.Dir, path)
		}
		stale := removeStale(path, r.w.log)
		return func(ctx context.Context) { r.watchFile(ctx, path, stale, rd.Period) }, nil
	case rd.Notify:
		socket, err := listenNotify()
		if err != nil {
			return nil, err
		}
		r.env = withNotifySocket(r.env, socket.address())
		// Also of a run that could not be started. Not at the stop signal: the
		// workload may still want to say something.
		context.AfterFunc(r.ctx, socket.close)
		return func(context.Context) { r.watchNotify(socket) }, nil
	case rd.AfterAuto:
		r.overdue = nil // it says itself when it waits no longer
		return r.listening(rd), nil
	default:
		r.overdue = nil
		return func(ctx context.Context) { r.watchTime(ctx, rd.After) }, nil
	}
}

func (r *run) watchTime(ctx context.Context, after time.Duration) {
	if sleep(ctx, time.Until(r.started.Add(after))) {
		r.setReady(true, "started long enough ago")
	}
}

// sleep waits; false if the context has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
