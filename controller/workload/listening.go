package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/handover-controller/handover/peer/procfs"
)

// listeningProbe looks for a listening TCP socket that a process of the
// workload holds. It remembers the socket that it found and where, and as long
// as that process has it open it looks no further. A socket that is open and was
// told to listen no longer, which is rare, counts as listening.
//
// A process that changed its user may not be looked into without CAP_SYS_PTRACE,
// which containers do not have by default. Then the network namespace tells: if
// it is the container's alone, what began to listen there since the start, and is
// neither ours nor that of a process that can be looked into, is the workload's.
type listeningProbe struct {
	reaper *Reaper
	origin origin
	// before are the sockets that were there before the start; nil: not known.
	before listeners

	inode  string // found last; empty: none
	link   string // where: a file descriptor's path in /proc; empty: may not be looked into
	port   string
	shared *bool // others listen in our network namespace; nil: not looked at yet
}

// Why no listening socket was found.
var (
	errNotListening = errors.New("no process of the workload listens on a TCP port")
	errGiven        = errors.New("the workload listens on no TCP socket but those that it was started with, and they do not tell whether it is ready")
	errUnseen       = errors.New("whether the workload listens on a TCP port cannot be seen: a process of it runs as another user or with other rights, and CAP_SYS_PTRACE is missing")
	errOthers       = fmt.Errorf("%w; other programs listen in the same network, so what listens there may be theirs", errUnseen)
)

func (p *listeningProbe) found() string { return "listening on port " + p.port }

func (p *listeningProbe) probe(context.Context) (string, error) {
	if p.link != "" {
		if target, err := os.Readlink(p.link); err == nil && target == "socket:["+p.inode+"]" {
			return p.found(), nil
		}
	}
	sockets, err := listeningSockets()
	if err != nil {
		return "", fmt.Errorf("which TCP ports are listened on cannot be seen: %w", err)
	}
	if p.link == "" && p.inode != "" {
		if _, still := sockets[p.inode]; still {
			return p.found(), nil
		}
	}
	p.inode, p.link = "", ""
	if len(sockets) == 0 {
		return "", errNotListening
	}
	return p.search(sockets)
}

// search looks into the processes of the workload.
func (p *listeningProbe) search(sockets listeners) (string, error) {
	ours := map[string]bool{}
	if err := eachSocket("self", func(inode, _ string) bool { ours[inode] = true; return true }); err != nil {
		return "", fmt.Errorf("which TCP ports are listened on cannot be seen: %w", err)
	}
	given := false
	var hidden []int
	pids := p.reaper.ownProcesses(p.origin)
	for _, pid := range pids {
		err := eachSocket(strconv.Itoa(pid), func(inode, link string) bool {
			_, listens := sockets[inode]
			switch {
			case !listens:
			case ours[inode]:
				given = true
			default:
				p.inode, p.link = inode, link
			}
			return p.inode == ""
		})
		switch {
		case p.inode != "":
			p.port = sockets[p.inode].port()
			return p.found(), nil
		case scarce(err):
			return "", fmt.Errorf("which TCP ports are listened on cannot be seen: %w", err)
		case errors.Is(err, fs.ErrPermission):
			hidden = append(hidden, pid)
		}
	}
	switch {
	case len(hidden) > 0:
		return p.infer(sockets, ours, pids, hidden)
	case !slices.Contains(pids, p.origin.group):
		return "", errUnseen // /proc does not show it: hidepid, or none of our PID namespace
	case given:
		return "", errGiven
	}
	return "", errNotListening
}

// infer finds the workload's socket among those whose holder cannot be seen. It
// must have been opened since the start, by a user that the workload runs as or by
// the one that it had before.
func (p *listeningProbe) infer(sockets listeners, ours map[string]bool, own, hidden []int) (string, error) {
	if p.before == nil {
		return "", errUnseen
	}
	opener := map[uint64]bool{0: true, uint64(os.Geteuid()): true}
	for _, pid := range hidden {
		for _, user := range users(pid) {
			opener[user] = true
		}
	}
	seen, strangers := visibleSockets(own)
	if p.shared == nil {
		shared := !ownNetwork()
		p.shared = &shared
	}
	others := *p.shared || slices.ContainsFunc(strangers, func(pid int) bool {
		return slices.ContainsFunc(users(pid), func(user uint64) bool { return opener[user] })
	})
	candidates := listeners{}
	for inode, l := range sockets {
		_, old := p.before[inode]
		switch {
		case ours[inode], seen[inode], l.address.Addr().Unmap() == engineNames:
		case old:
			others = true // it is of a program outside of this container
		case opener[l.user]:
			candidates[inode] = l
		}
	}
	switch {
	case len(candidates) == 0:
		return "", errNotListening
	case others:
		return "", errOthers
	}
	p.inode = slices.Min(slices.Collect(maps.Keys(candidates)))
	p.port = candidates[p.inode].port()
	return p.found(), nil
}

// visibleSockets are the sockets of all processes that can be looked into, and
// the processes that cannot and are not the workload's.
func visibleSockets(own []int) (seen map[string]bool, strangers []int) {
	seen = map[string]bool{}
	for _, process := range procfs.All() {
		err := eachSocket(strconv.Itoa(process.PID), func(inode, _ string) bool { seen[inode] = true; return true })
		if errors.Is(err, fs.ErrPermission) && !slices.Contains(own, process.PID) {
			strangers = append(strangers, process.PID)
		}
	}
	return seen, strangers
}

// lateWithin is how long after its start a workload that was taken for ready by
// its age may begin to listen, and be followed from then on.
const lateWithin = 2 * time.Minute

// listening prepares readiness auto, before the workload is started.
func (r *run) listening(rd Readiness) func(context.Context) {
	before, err := listeningSockets()
	if err != nil {
		before = nil
	}
	return func(ctx context.Context) {
		r.watchListening(ctx, rd, &listeningProbe{reaper: r.w.reaper, origin: r.origin, before: before})
	}
}

func (r *run) watchListening(ctx context.Context, rd Readiness, p *listeningProbe) {
	giveUp := func() time.Time {
		if r.w.expects.Load() && rd.ListensWithin > rd.After {
			return r.started.Add(rd.ListensWithin)
		}
		return r.started.Add(rd.After)
	}
	probe := func(ctx context.Context) (string, error) {
		found, err := p.probe(ctx)
		if err == nil {
			r.w.update(r, func(s *State) { s.Listens = true })
		}
		return found, err
	}
	if !r.poll(ctx, rd, probe, giveUp) {
		return
	}
	why := r.w.State().NotReadyReason
	r.w.log.Warn("workload taken for ready because of its age", "after", time.Since(r.started).Round(time.Millisecond),
		"because", why, "hint", "set one of readiness.http, tcp, command, file or notify to be exact")
	r.setReady(true, "alive long enough")
	if found, listens := r.listensLate(ctx, rd, probe); listens {
		r.w.log.Warn("workload listens only now, and was taken for ready before: until now nobody may have served",
			"after", time.Since(r.started).Round(time.Millisecond), "because", found,
			"hint", "set one of readiness.http, tcp, command, file or notify, and a stop_grace_period that is long enough for it")
		r.poll(ctx, rd, probe, nil)
	}
}

// listensLate waits for as long as a workload that was taken for ready may begin to
// listen, and reports whether it did. Until then nobody may be served, so it looks
// often at first: each pause is a fifth of the workload's age.
func (r *run) listensLate(ctx context.Context, rd Readiness, p probe) (found string, listens bool) {
	for age := time.Since(r.started); age < lateWithin && sleep(ctx, max(rd.Period, age/5)); age = time.Since(r.started) {
		if found, err := probeOnce(ctx, rd.Timeout, p); err == nil {
			return found, true
		}
	}
	return "", false
}
