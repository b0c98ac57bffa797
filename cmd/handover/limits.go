package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The least that this program works with, the smallest service included. With
// less, Go's runtime ends it with a trace of its goroutines, or the service
// cannot be started. Measured with all parts in use: 18 descriptors, 12 processes
// and threads; of addresses 850 MB on 64-bit machines, where the runtime reserves
// many and uses few, and 60 MB on 32-bit ones.
//
// What is far below that does not get here: the runtime needs some 700 MB of
// addresses and about four threads before the program begins, and says so itself.
const (
	leastDescriptors = 24
	leastProcesses   = 12
	leastAddresses   = 900 << 20 // on 64-bit machines
)

// limit is one that the system sets for this process.
type limit struct {
	what, unit   string
	value, least uint64
	toDo         string
}

// check says what is wrong with the limit.
func (l limit) check() error {
	if l.value >= l.least {
		return nil
	}
	return fmt.Errorf("the limit of %s is %d%s, and handover needs at least %d%s: %s", l.what, l.value, l.unit, l.least, l.unit, l.toDo)
}

// checkLimits reports the first limit of this process that is too low to work
// with. It opens no file before it knows that it may.
func checkLimits() error {
	limits := []limit{
		{"open files", "", resource(unix.RLIMIT_NOFILE), leastDescriptors, "raise it (ulimits: nofile in the compose file, ulimit -n in a shell)"},
	}
	if strconv.IntSize == 64 {
		limits = append(limits, limit{"addresses", " bytes", resource(unix.RLIMIT_AS), leastAddresses, "raise or remove it (ulimit -v), and limit memory with mem_limit in the compose file instead"})
	}
	if os.Getuid() != 0 { // the kernel lets root have more
		limits = append(limits, limit{"processes", "", resource(unix.RLIMIT_NPROC), leastProcesses, "raise it (ulimits: nproc in the compose file, ulimit -u in a shell)"})
	}
	for _, l := range limits {
		if err := l.check(); err != nil {
			return err
		}
	}
	return limit{"processes in this container", "", controlGroup(), leastProcesses, "raise it (pids_limit in the compose file)"}.check()
}

const unlimited = ^uint64(0)

// resource returns a limit of setrlimit(2).
func resource(which int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(which, &l) != nil {
		return unlimited
	}
	return l.Cur
}

// controlGroup returns how many processes the container may have, as far as its
// own view of the control groups tells.
func controlGroup() uint64 {
	for _, path := range []string{"/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if most, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // else it is "max"
			return most
		}
	}
	return unlimited
}
