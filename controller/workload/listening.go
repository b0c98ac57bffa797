package workload

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
)

// tcpListen is the state TCP_LISTEN in /proc/net/tcp.
const tcpListen = "0A"

// listeningSockets returns the listening TCP sockets of our network namespace:
// the port of each inode.
func listeningSockets() map[string]string {
	sockets := map[string]string{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue // no IPv6
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if inode, port, ok := parseListening(lines.Text()); ok {
				sockets[inode] = port
			}
		}
		_ = f.Close()
	}
	return sockets
}

// parseListening reads a line of /proc/net/tcp: number, local address, remote
// address, state, queues, timer, retransmissions, user, time-out, inode.
func parseListening(line string) (inode, port string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != tcpListen {
		return "", "", false
	}
	_, hex, found := strings.Cut(fields[1], ":")
	number, err := strconv.ParseUint(hex, 16, 16)
	return fields[9], strconv.FormatUint(number, 10), found && err == nil
}

// listeningProbe looks for a listening TCP socket that a process of the
// workload holds. It remembers the socket that it found and where, and as long
// as that process has it open it looks no further: for the list of sockets the
// kernel walks its whole table, which takes milliseconds. A socket that is open
// and was told to listen no longer, which is rare, counts as listening.
type listeningProbe struct {
	reaper *Reaper
	origin origin
	inode  string // found last
	link   string // where: a file descriptor's path in /proc
	port   string
	hidden bool // a process did not let us see its files
}

// socketLink is what a socket's file descriptor in /proc points to.
func socketLink(inode string) string { return "socket:[" + inode + "]" }

var errNotListening = errors.New("no process of the workload listens on a TCP port")

func (p *listeningProbe) probe(context.Context) (string, error) {
	if p.link != "" {
		if target, err := os.Readlink(p.link); err == nil && target == socketLink(p.inode) {
			return "listening on port " + p.port, nil
		}
	}
	sockets := listeningSockets()
	p.inode, p.link, p.hidden = "", "", false
	if len(sockets) == 0 {
		return "", errNotListening
	}
	for _, pid := range p.reaper.ownProcesses(p.origin) {
		if p.find(pid, sockets) {
			p.port = sockets[p.inode]
			return "listening on port " + p.port, nil
		}
	}
	return "", errNotListening
}

// find looks for a listening socket that the process holds.
func (p *listeningProbe) find(pid int, sockets map[string]string) bool {
	folder := "/proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(folder)
	if err != nil {
		p.hidden = p.hidden || errors.Is(err, os.ErrPermission)
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		target, err := os.Readlink(folder + "/" + name)
		if err != nil {
			p.hidden = p.hidden || errors.Is(err, os.ErrPermission)
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode = strings.TrimSuffix(inode, "]")
		if _, ok := sockets[inode]; ok {
			p.inode, p.link = inode, folder+"/"+name
			return true
		}
	}
	return false
}

// watchListening is readiness auto.
func (r *run) watchListening(ctx context.Context, rd Readiness) {
	p := &listeningProbe{reaper: r.w.reaper, origin: r.origin}
	giveUp := r.started.Add(rd.After)
	if !r.poll(ctx, rd, p.probe, giveUp) {
		return
	}
	hint := "set one of readiness.http, tcp, command, file or notify to be exact"
	if p.hidden {
		hint = "a process runs as another user, so its sockets cannot be seen; " + hint
	}
	r.w.log.Warn("workload does not listen on a TCP port; taken for ready because it is alive",
		"after", time.Since(r.started).Round(time.Millisecond), "hint", hint)
	r.setReady(true, "alive long enough")
}
