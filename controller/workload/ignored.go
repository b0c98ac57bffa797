package workload

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

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
