package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer"
)

// askWithin is how long the instance may take for an answer.
const askWithin = 3 * time.Second

// instance is what the instance of this container says.
type instance struct {
	late bool
	off  bool // status.socket is
	// path is the socket on which somebody listens, empty if there is nobody; pid
	// is who listens, 0 if that is not known here.
	path string
	pid  int
	// other is why who listens does not count: another container's instance, or
	// another user.
	other error
	// init is the name of process 1. The cgroups are what the kernel tells of the
	// instance's and of that of process 1.
	init                string
	cgroup, cgroupOfOne string

	// status is nil if there is no answer; err says why then.
	status  *controller.Status
	err     error
	metrics metrics
}

// metrics are those that are of interest here.
type metrics struct {
	starts, takeovers float64 // how often the workload became ready; how many were gone before that
	starting          time.Duration
}

// ask asks the instance that has the status socket.
func ask(ctx context.Context, cfg *config.Config, get func(context.Context, string) (io.ReadCloser, error)) *instance {
	i := new(instance)
	if name, err := os.ReadFile("/proc/1/comm"); err == nil {
		i.init = strings.TrimSpace(string(name))
	}
	if cfg.Status.Socket == "" || get == nil {
		i.off = true
		return i
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var err error
	i.path, i.pid, err = endpoint.Client{Socket: endpoint.SocketOf(cfg.Status.Socket, cfg.Service.ContainerID)}.Find(ctx)
	if errors.Is(err, endpoint.ErrElsewhere) || errors.Is(err, endpoint.ErrStranger) {
		i.other = err
	}
	i.cgroup, i.cgroupOfOne = cgroup(i.pid), cgroup(1)
	if i.path == "" {
		return i
	}
	body, err := get(ctx, "/status")
	if err == nil {
		i.status = new(controller.Status)
		if err = json.NewDecoder(body).Decode(i.status); err != nil {
			i.status = nil
		}
		endpoint.MakePrintable(i.status)
		_ = body.Close()
	}
	if i.err = err; ctx.Err() != nil {
		i.err = fmt.Errorf("it does not answer within %s", askWithin)
	}
	if i.status != nil {
		if body, err := get(ctx, "/metrics"); err == nil {
			i.metrics = readMetrics(body)
			_ = body.Close()
		}
	}
	return i
}

func readMetrics(text io.Reader) metrics {
	var m metrics
	for lines := bufio.NewScanner(text); lines.Scan(); {
		series, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch series {
		case `handover_stage_duration_seconds_sum{stage="starting"}`:
			m.starting = time.Duration(value * float64(time.Second))
		case `handover_stage_duration_seconds_count{stage="starting"}`:
			m.starts = value
		case "handover_unready_takeovers_total":
			m.takeovers = value
		}
	}
	return m
}

func (f *facts) judgeInstance(r *report) {
	if f.instance.late {
		r.late(processInstance, "/proc or status.socket")
		return
	}
	i := f.instance
	if i.status == nil {
		f.judgeNobody(r, i)
		return
	}
	st := i.status
	found := "the instance of this container answers on " + i.path + ": it is " + st.Phase + " (" + st.Message + ")"
	own := string(f.container())
	switch {
	case own != "" && st.Instance.Container != "" && st.Instance.Container != own:
		r.warn(processInstance, "the instance that answers on %s is that of container %s, not of this one (%s)", i.path, st.Instance.Container, own).because(
			"two containers have the same socket: handover status and handover probe ask the wrong one",
			"set status.socket to a path in the container's own file system")
	case st.Workload.Running && !st.Workload.Ready:
		judgeNotReady(r, st, found)
	default:
		r.ok(processInstance, "%s", found)
	}
	if st.Failure != "" {
		r.fail(processGuard, "%s", st.Failure).because(
			"the service goes on, but nothing is decided any more: there is no hand-over, and when this instance is told to stop it stops at once",
			"restart the container, and report the panic in its log: it is a defect of handover")
	} else {
		r.ok(processGuard, "the workload is guarded")
	}
	f.judgeInit(r, i)
	if st.Instance.Version != f.version {
		r.warn(processVersion, "the instance is of version %s, this program of version %s", st.Instance.Version, f.version).because(
			"what is said here may not be true of the other version",
			"run handover check of the same image as the container")
	} else {
		r.ok(processVersion, "the instance and this program are of version %s", f.version)
	}
	f.judgeHeard(r, st)
	f.judgeHistory(r, st, &i.metrics)
}

// slowStart is after when a workload that was never ready since is suspicious.
const slowStart = 10 * time.Second

// judgeNotReady tells what the readiness rule has found last.
func judgeNotReady(r *report, st *controller.Status, found string) {
	why := "its workload is not ready"
	for i := range st.Conditions {
		if c := &st.Conditions[i]; c.Type == decide.Ready && c.Status == decide.False {
			why = c.Message
		}
	}
	if at := st.Workload.Started; st.Phase != peer.PhaseStarting.String() || at == nil || st.Time.Sub(*at) < slowStart {
		r.note(processInstance, "%s; %s", found, why)
		return
	}
	r.warn(processInstance, "%s; %s", found, why).because(
		"an instance that is not ready never takes over: the old one ends at the end of its hold, and nobody serves",
		"compare the readiness.… settings with what the service does: its path, its port, its command; readiness.period and readiness.timeout say how often and how long it is asked")
}

// judgeNobody is for when nobody answers.
func (f *facts) judgeNobody(r *report, i *instance) {
	const program = "handover"
	switch {
	case i.off:
		r.note(processInstance, "status.socket is off: the running instance, if there is one, cannot be asked")
	case i.path != "":
		r.fail(processInstance, "somebody listens on %s (process %s), but there is no usable answer: %s", i.path, strconv.Itoa(i.pid), plainly(i.err)).because(
			"an instance that hangs does not hand over, and handover probe fails",
			"see the container's log; if another program listens there, set status.socket to a path of its own")
	case i.other != nil:
		r.warn(processInstance, "no instance of this container answers: %s", i.other.Error()).because(
			"handover status and handover probe do not count it either",
			"start handover run in this container, or run handover check in the container where it runs; set status.socket to a path that only this container has")
	case i.init == program:
		r.warn(processInstance, "process 1 is handover, but nobody answers on %s", f.cfg.Status.Socket).because(
			"handover status and handover probe do not reach it either",
			"see the container's log; run handover check with the configuration and the environment of the container's entry point")
	default:
		r.note(processInstance, "no instance answers on %s: handover run is not running here", f.cfg.Status.Socket)
	}
}

// cgroup is where a process is, as the kernel tells; empty if it does not.
func cgroup(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return string(text)
}

// hostsInit reports whether process 1 is the host's, as with `pid: host`.
func (f *facts) hostsInit(i *instance) bool {
	own := string(f.container())
	return strings.Contains(i.cgroupOfOne, ":/../") || own != "" && strings.Contains(i.cgroup, own) && !strings.Contains(i.cgroupOfOne, own)
}

// judgeInit: the engine sends SIGTERM to process 1 alone.
func (f *facts) judgeInit(r *report, i *instance) {
	switch {
	case i.pid == 1:
		r.ok(processInit, "the instance is process 1 of the container: it gets the SIGTERM")
	case f.hostsInit(i):
		r.note(processInit, "the instance is process %s of the host (pid: host); whether it is the container's first cannot be seen from here", strconv.Itoa(i.pid))
	case i.pid == 0:
		r.note(processInit, "the process id of the instance cannot be seen from here")
	case f.container() == "":
		r.note(processInit, "the instance is process %s; this seems to be no container", strconv.Itoa(i.pid))
	default:
		r.warn(processInit, "the instance is process %s, and process 1 is \"%s\"", strconv.Itoa(i.pid), i.init).because(
			"the engine sends SIGTERM to process 1 alone; if that does not pass it on, as a shell does not, the instance cannot hold and is killed",
			`make handover the entry point in the form of a list: ENTRYPOINT ["/usr/bin/handover", "run", "--"]; an entry script must end with exec "$@"`)
	}
}

// judgeHeard says which other instances are heard, and by which way.
func (f *facts) judgeHeard(r *report, st *controller.Status) {
	if len(st.Peers) == 0 {
		r.ok(processPeers, "no other instance is heard: there is no hand-over under way")
		return
	}
	for i := range st.Peers {
		p := &st.Peers[i]
		phase := p.Phase
		if p.Gone {
			phase = "ended"
		}
		r.ok(processPeers, "%s is heard by %s: it is %s than this one, and %s", who(p), strings.Join(p.Ways, " and "), age(p.Age), phase)
	}
}

func age(s string) string {
	if s == "unknown" {
		return "neither known to be younger nor older"
	}
	return s
}

func who(p *controller.PeerStatus) string {
	switch {
	case p.Legacy:
		return "an instance of handover-lib at " + p.Address
	case p.Container == "":
		return "another instance"
	}
	return "container " + p.Container
}

// plainly is an error's text, of none as well.
func plainly(err error) string {
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &syntax):
		return "the answer is not JSON"
	}
	return endpoint.Printable(err.Error())
}
