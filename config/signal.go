package config

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real-time signals as the C library and Docker number them.
const (
	rtMin = 34
	rtMax = 64
)

// signal is a signal by name, with or without SIG, or by number.
func signal() kind {
	return kind{
		allowed: "a signal by name (SIGTERM, TERM, SIGRTMIN+3) or by number (15), not SIGSTOP",
		show:    showSignal,
		parse: func(s string) (any, *fault) {
			switch n := signalNumber(s); n {
			case 0:
				return nil, faultf("is not a signal")
			case unix.SIGSTOP:
				return nil, faultf("only suspends the workload")
			default:
				return n, nil
			}
		},
	}
}

// signalNumber is the signal's number, 0 if there is no such signal.
func signalNumber(s string) syscall.Signal {
	if n, err := strconv.Atoi(s); err == nil {
		named := unix.SignalName(syscall.Signal(n)) != ""
		if named || n >= rtMin && n <= rtMax {
			return syscall.Signal(n)
		}
		return 0
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return n
	}
	for base, sign := range map[string]string{"SIGRTMIN": "+", "SIGRTMAX": "-"} {
		rest, ok := strings.CutPrefix(name, base)
		if !ok {
			continue
		}
		digits, ok := strings.CutPrefix(rest, sign)
		offset, err := strconv.Atoi(digits)
		switch {
		case rest == "":
			offset = 0
		case !ok || err != nil || strconv.Itoa(offset) != digits || offset < 0 || offset > rtMax-rtMin:
			return 0
		}
		if sign == "+" {
			return syscall.Signal(rtMin + offset)
		}
		return syscall.Signal(rtMax - offset)
	}
	return 0
}

func showSignal(v any) string {
	n, _ := v.(syscall.Signal)
	if name := unix.SignalName(n); name != "" {
		return name
	}
	return fmt.Sprintf("SIGRTMIN+%d", int(n)-rtMin)
}
