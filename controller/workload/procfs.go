package workload

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// procStat is what /proc/PID/stat says of a process; proc(5).
type procStat struct {
	pid, parent, group, session int
	state                       byte
	threads                     int
	start                       uint64 // clock ticks since boot
}

// dead tells that the process has ended. A process whose first thread has
// ended while others run is a zombie by its state only.
func (p procStat) dead() bool {
	return p.state == 'X' || p.state == 'Z' && p.threads <= 1
}

// parseStat reads the content of /proc/PID/stat. The name stands in
// parentheses and may itself contain some, and blanks.
func parseStat(b []byte) (procStat, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return procStat{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	// fields[0] is field 3 of the manual page, the state.
	fields := bytes.Fields(b[end+1:])
	if err != nil || len(fields) < 20 || len(fields[0]) != 1 {
		return procStat{}, false
	}
	number := func(field int) int {
		n, e := strconv.Atoi(string(fields[field-3]))
		if e != nil {
			err = e
		}
		return n
	}
	p := procStat{
		pid: pid, state: fields[0][0], parent: number(4), group: number(5), session: number(6), threads: number(20),
	}
	start, e := strconv.ParseUint(string(fields[22-3]), 10, 64)
	p.start = start
	return p, err == nil && e == nil
}

func readStat(pid int) (procStat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	return parseStat(b)
}

// processes lists the processes that /proc shows; none if that /proc is not of
// our PID namespace, where its numbers would be other processes'.
func processes() []procStat {
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []procStat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := readStat(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// ignoredSignals returns the signals that this process ignores now.
func ignoredSignals() map[syscall.Signal]bool {
	ignored := map[syscall.Signal]bool{}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ignored
	}
	for line := range strings.Lines(string(status)) {
		digits, ok := strings.CutPrefix(line, "SigIgn:")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		for bit := 0; err == nil && bit < 64; bit++ {
			if mask&(1<<bit) != 0 {
				ignored[syscall.Signal(bit+1)] = true
			}
		}
	}
	return ignored
}
