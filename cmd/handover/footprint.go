package main

import (
	"runtime"
	"runtime/debug"
)

// smallFootprint trades speed that is never needed for memory and wake-ups: a
// device is small and this process is idle nearly always.
func smallFootprint() {
	// One processor: a wake-up stays on its thread and wakes no others.
	runtime.GOMAXPROCS(1)
	// Collect from 0.8 MB of heap on instead of 4 MB; there is little to collect.
	debug.SetGCPercent(20)
}
