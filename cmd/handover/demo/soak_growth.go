package demo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// growthFrom is how many hand-overs are needed to speak of growth.
const growthFrom = 20

// growth is what is measured after each hand-over.
type growth struct {
	kinds [growthKinds]samples
}

const (
	ownMemory = iota
	ownDescriptors
	ownGoroutines
	instanceMemory
	instanceDescriptors
	sharedFiles
	growthKinds
)

// growthBounds say what is no growth yet, from the first quarter of the run to
// the last: so many more (bytes of memory), or so much of hundred more,
// whichever is more.
var growthBounds = [growthKinds]struct {
	name         string
	least, share int
}{
	ownMemory:           {"this process, memory", 4 << 20, 20},
	ownDescriptors:      {"this process, descriptors", 20, 20},
	ownGoroutines:       {"this process, goroutines", 40, 20},
	instanceMemory:      {"serving instance, memory", 2 << 20, 15},
	instanceDescriptors: {"serving instance, descriptors", 3, 0},
	sharedFiles:         {"files in the shared folder", 0, 0},
}

func isMemory(kind int) bool { return kind == ownMemory || kind == instanceMemory }

// bound is what the last quarter may have.
func (g *growth) bound(kind int) int {
	first, _ := g.kinds[kind].quarters()
	return first + max(growthBounds[kind].least, first*growthBounds[kind].share/100)
}

// wrong says what has grown too much.
func (g *growth) wrong() []string {
	var wrong []string
	for kind := range g.kinds {
		_, last := g.kinds[kind].quarters()
		if g.judged() && last > g.bound(kind) {
			wrong = append(wrong, fmt.Sprintf("%s grew to %s, allowed is %s", growthBounds[kind].name, amount(kind, last), amount(kind, g.bound(kind))))
		}
	}
	return wrong
}

func (g *growth) judged() bool { return g.kinds[0].added >= growthFrom }

// amount writes a number of that kind.
func amount(kind, n int) string {
	if isMemory(kind) {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return strconv.Itoa(n)
}

// samples are numbers in the order of time: all of them, and when they become
// too many, every second, every fourth …
type samples struct {
	kept  []int
	added int
	skip  int
}

const samplesAtMost = 1024

func (s *samples) add(n int) {
	s.skip = max(1, s.skip)
	if s.added++; (s.added-1)%s.skip != 0 {
		return
	}
	if len(s.kept) == samplesAtMost {
		for i := range s.kept[:samplesAtMost/2] {
			s.kept[i] = s.kept[2*i]
		}
		s.kept, s.skip = s.kept[:samplesAtMost/2], 2*s.skip
	}
	s.kept = append(s.kept, n)
}

// quarters returns the least of the first and of the last quarter: requests in
// flight, of which a busy machine has many, only add to it, and what leaks is in
// the least as well.
func (s *samples) quarters() (first, last int) {
	n := (len(s.kept) + 3) / 4
	if n == 0 {
		return 0, 0
	}
	return slices.Min(s.kept[:n]), slices.Min(s.kept[len(s.kept)-n:])
}

// sample measures, in the quiet time after a hand-over. What goes up and down
// with the requests in flight is the least of some looks.
func (s *soak) sample(serving *life) {
	self := os.Getpid()
	descriptors, goroutines := open(self), runtime.NumGoroutine()
	for range 4 {
		time.Sleep(10 * time.Millisecond)
		descriptors, goroutines = min(descriptors, open(self)), min(goroutines, runtime.NumGoroutine())
	}
	// What a burst of requests needed is not held, but not given back yet either.
	debug.FreeOSMemory()
	shared, _ := os.ReadDir(s.processes.Shared())
	s.mu.Lock()
	pid := serving.pid
	s.mu.Unlock()
	for kind, n := range [growthKinds]int{
		ownMemory: resident(self), ownDescriptors: descriptors, ownGoroutines: goroutines,
		instanceMemory: resident(pid), instanceDescriptors: open(pid), sharedFiles: len(shared),
	} {
		s.growth.kinds[kind].add(n)
	}
}

// resident returns the resident memory of a process in bytes.
func resident(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// open returns how many descriptors a process has.
func open(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

// sockets returns how many sockets this process has.
func sockets() int {
	links, _ := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// socketsLeft looks for sockets that were not there before, as soon as those
// that are being closed are.
func socketsLeft(before int) []string {
	const patience, look = 2 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(look) {
		left := sockets() - before
		if left <= 0 {
			return nil
		}
		if time.Now().After(end) {
			return []string{fmt.Sprintf("%d sockets of this process", left)}
		}
	}
}

// processesLeft looks for processes that know the soak's folder.
func (s *soak) processesLeft() []string {
	var left []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		env, _ := os.ReadFile(path) // it may have ended
		if bytes.Contains(env, []byte("="+s.dir+"/")) {
			left = append(left, "process "+filepath.Base(filepath.Dir(path)))
		}
	}
	return left
}

// filesLeft looks for files in the shared folder.
func (s *soak) filesLeft() []string {
	var left []string
	entries, _ := os.ReadDir(s.processes.Shared())
	for _, e := range entries {
		left = append(left, "file "+e.Name()+" in the shared folder")
	}
	return left
}
