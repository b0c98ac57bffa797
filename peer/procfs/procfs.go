// Package procfs reads what Linux tells of processes in /proc (proc(5)). It guarantees
// nothing of processes that begin or end meanwhile: who reads looks again.
package procfs

import (
	"bytes"
	"os"
	"strconv"
)

// Stat is what /proc/PID/stat says of a process; proc(5).
type Stat struct {
	// Name is the command's, cut to 15 bytes. A process can change its own.
	Name                        string
	PID, Parent, Group, Session int
	State                       byte
	Threads                     int
	Start                       uint64 // clock ticks since boot
}

// Dead tells that the process has ended. A process whose first thread has
// ended while others run is a zombie by its state only.
func (p Stat) Dead() bool {
	return p.State == 'X' || p.State == 'Z' && p.Threads <= 1
}

// IsInit reports whether a program of that name is an init for containers: one
// that runs a single program as its child and does nothing else.
func IsInit(name string) bool {
	switch name {
	case "tini", "tini-static", "dumb-init", "docker-init", "catatonit":
		return true
	}
	return false
}

// Parse reads the content of /proc/PID/stat. The name stands in
// parentheses and may itself contain some, and blanks.
func Parse(b []byte) (Stat, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return Stat{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	// fields[0] is field 3 of the manual page, the state.
	fields := bytes.Fields(b[end+1:])
	if err != nil || len(fields) < 20 || len(fields[0]) != 1 {
		return Stat{}, false
	}
	number := func(field int) int {
		n, e := strconv.Atoi(string(fields[field-3]))
		if e != nil {
			err = e
		}
		return n
	}
	p := Stat{
		Name: string(b[open+1 : end]), PID: pid, State: fields[0][0], Parent: number(4), Group: number(5), Session: number(6), Threads: number(20),
	}
	start, e := strconv.ParseUint(string(fields[22-3]), 10, 64)
	p.Start = start
	return p, err == nil && e == nil
}

// Read reads it of one process; false: there is none with that id.
func Read(pid int) (Stat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, false
	}
	return Parse(b)
}

// All lists the processes that /proc shows; none if that /proc is not of
// our PID namespace, where its numbers would be other processes'.
func All() []Stat {
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
	var all []Stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := Read(pid); ok {
			all = append(all, p)
		}
	}
	return all
}
