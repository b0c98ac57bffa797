package peer

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc. AT_CLKTCK is 100 on every
// architecture that Go runs Linux on.
const clockTick = time.Second / 100

// bootClock reads CLOCK_BOOTTIME.
func bootClock() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// uptime is CLOCK_BOOTTIME; 0 if it cannot be read.
func uptime() time.Duration {
	t, _ := bootClock()
	return t
}

// processStart reads when the kernel started this process, on CLOCK_BOOTTIME,
// to a hundredth of a second. exec does not change it: for PID 1 it is the
// container's own start.
func processStart(root string) (time.Duration, error) {
	text, err := readProc(root, "/proc/self/stat")
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat returns field 22 of /proc/PID/stat. The second field, the
// command's name, stands in parentheses and can contain anything, spaces and
// parentheses too: counting begins after the last one.
func parseStat(text string) (time.Duration, error) {
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return 0, errors.New("parse /proc/self/stat: no command name")
	}
	const startField = 22 - 3 // the first one after the name is number 3
	fields := strings.Fields(text[end+1:])
	if len(fields) <= startField {
		return 0, fmt.Errorf("parse /proc/self/stat: %d fields, want 22", len(fields)+2)
	}
	ticks, err := strconv.ParseInt(fields[startField], 10, 64)
	if err != nil || ticks < 0 || ticks > math.MaxInt64/int64(clockTick) {
		return 0, fmt.Errorf("parse /proc/self/stat: start time %q is not a number of ticks", fields[startField])
	}
	return time.Duration(ticks) * clockTick, nil
}

// readAtMost reads a text, which is an error if longer than the limit.
func readAtMost(r io.Reader, limit int64) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return string(text), err
}
