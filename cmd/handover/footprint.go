package main

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memoryLimit is what the runtime should have at most, without the pages of the
// program itself. It is far above what is ever needed at the same time.
const memoryLimit = 12 << 20

// smallFootprint trades speed that is never needed for memory and wake-ups: a
// device is small and this process is idle nearly always.
func smallFootprint() {
	// One processor: a wake-up stays on its thread and wakes no others.
	runtime.GOMAXPROCS(1)
	// Collect from 0.8 MB of heap on instead of 4 MB; there is little to collect.
	debug.SetGCPercent(20)
	// Where much is thrown away at once, as for a crowd of connections, collect and
	// give back before the rest of the container is short of memory.
	debug.SetMemoryLimit(memoryLimit)
}

// giveBackOnceIdle gives back what only the start needed, once idle says that it
// is over.
func giveBackOnceIdle(ctx context.Context, idle func() bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := 4 * time.Second; ; wait *= 2 {
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if idle() {
			giveBack()
			return
		}
	}
}

// giveBack gives free heap, and the pages of the program itself, back to the
// kernel: two thirds of the latter are code of the start, and pages of a program
// that are mapped are among the last that the kernel takes when memory is short.
// What is needed again comes from the page cache, a microsecond for 64 KiB.
func giveBack() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		from, size, ok := programPages(lines.Text(), program)
		if ok {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_DONTNEED) // advice
		}
	}
}

// programPages reads a line of /proc/self/maps: addresses, permissions, offset,
// device, inode, path. Only what cannot be written is the file's own.
func programPages(line, program string) (from, size uintptr, ok bool) {
	if !strings.HasSuffix(line, " "+program) {
		return 0, 0, false
	}
	fields := strings.Fields(line)
	begin, end, _ := strings.Cut(fields[0], "-")
	a, errA := strconv.ParseUint(begin, 16, strconv.IntSize)
	b, errB := strconv.ParseUint(end, 16, strconv.IntSize)
	if errA != nil || errB != nil || a >= b || len(fields) < 6 || !strings.HasPrefix(fields[1], "r-") {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b - a), true
}
