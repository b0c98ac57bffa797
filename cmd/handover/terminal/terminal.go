// Package terminal tells what an output can show: whether it is a terminal, of what
// size, with colours and with Unicode. It writes nothing.
package terminal

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// What is taken for the size of a terminal that does not tell it.
const (
	usualColumns = 80
	usualRows    = 24
)

// Interactive reports whether one can draw there: f is a terminal, and
// TERM in the environment does not say that it can do nothing.
func Interactive(f *os.File, environ []string) bool {
	if term := variable(environ, "TERM"); term == "" || term == "dumb" {
		return false
	}
	terminal := false
	control(f, func(fd int) {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		terminal = err == nil
	})
	return terminal
}

// Colour reports whether the user wants colours: NO_COLOR is not set
// (no-color.org).
func Colour(environ []string) bool { return variable(environ, "NO_COLOR") == "" }

// Unicode reports whether the locale has Unicode; without a locale it does.
func Unicode(environ []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToUpper(variable(environ, name)); locale != "" {
			return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
		}
	}
	return true
}

// Size asks the terminal, as its window can change at any time.
func Size(f *os.File) (columns, rows int) {
	columns, rows = usualColumns, usualRows
	control(f, func(fd int) {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err == nil && size.Col > 0 && size.Row > 0 {
			columns, rows = int(size.Col), int(size.Row)
		}
	})
	return columns, rows
}

// Columns returns the terminal's columns, now.
func Columns(f *os.File) int {
	columns, _ := Size(f)
	return columns
}

// control calls do with the descriptor, without making the file blocking as
// Fd would.
func control(f *os.File, do func(fd int)) {
	if f == nil {
		return
	}
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// variable returns the last value of a variable in the environment.
func variable(environ []string, name string) string {
	value := ""
	for _, each := range environ {
		if v, found := strings.CutPrefix(each, name+"="); found {
			value = v
		}
	}
	return value
}
