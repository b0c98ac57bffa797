package demo_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/cmd/handover/demo"
	"github.com/handover-controller/handover/cmd/handover/terminal"
)

// display is a terminal of as many columns as it needs and endless rows. It
// knows the escape sequences that a Screen may send, and fails on others.
type display struct {
	rows    []string
	row     int
	hidden  bool
	writes  int
	all     strings.Builder
	columns int
}

func (d *display) size() (int, int) { return d.columns, 24 }

func (d *display) Write(b []byte) (int, error) {
	defer GinkgoRecover()
	d.writes++
	d.all.Write(b)
	for text := string(b); text != ""; {
		if text[0] == 0x1b {
			sequence := escapes.FindString(text)
			Expect(text).To(HavePrefix(sequence))
			Expect(sequence).NotTo(BeEmpty())
			d.control(sequence)
			text = text[len(sequence):]
			continue
		}
		r, length := utf8.DecodeRuneInString(text)
		text = text[length:]
		for len(d.rows) <= d.row {
			d.rows = append(d.rows, "")
		}
		switch r {
		case '\n':
			d.row++
		case '\r':
			// The screen sends it at the beginning of a line only.
		default:
			d.rows[d.row] += string(r)
			if r < ' ' || utf8.RuneCountInString(d.rows[d.row]) >= d.columns {
				Fail("it wraps, or worse: " + d.rows[d.row])
			}
		}
	}
	return len(b), nil
}

func (d *display) control(sequence string) {
	var n int
	switch {
	case sequence == "\x1b[?25l":
		d.hidden = true
	case sequence == "\x1b[?25h":
		d.hidden = false
	case sequence == "\x1b[J":
		d.rows = d.rows[:min(len(d.rows), d.row)]
	case strings.HasSuffix(sequence, "m"):
	default:
		_, err := fmt.Sscanf(sequence, "\x1b[%dA", &n)
		Expect(err).NotTo(HaveOccurred(), "%q", sequence)
		d.row -= n
		Expect(d.row).To(BeNumerically(">=", 0))
	}
}

var unicodeColour = demo.Style{Unicode: true, Colour: true}

var _ = Describe("The screen", func() {
	counters := demo.Counters{Total: 1002, PerSecond: 251, Backends: []demo.BackendCount{{Name: "A", PerSecond: 126}, {Name: "B", PerSecond: 125}}}

	inBubble("draws in place, and leaves the events behind", func() {
		d := &display{columns: 60}
		s := demo.NewScreenOn(d, d.size, unicodeColour)
		Expect(d.hidden).To(BeTrue())
		s.Phase(0, "A", demo.PhaseStarting)
		for i := range 40 {
			now := time.Duration(i) * 250 * time.Millisecond
			if i == 4 {
				s.Event(demo.Event{At: now, Lane: "A", Mark: demo.MarkPhase, Text: "serving"})
				s.Phase(now, "A", demo.PhaseServing)
			}
			if i == 20 {
				s.Event(demo.Event{At: now, Lane: "A", Mark: demo.MarkSigterm, Text: "told to stop"})
				s.Phase(now, "A", demo.PhaseHolding)
				s.Phase(now, "B", demo.PhaseStarting)
			}
			s.Progress(now, 20*time.Second, counters)
			time.Sleep(250 * time.Millisecond)
		}
		Expect(d.rows).To(HaveExactElements(
			"  1.00s  A           serving",
			"  5.00s  A           told to stop",
			"",
			" A  ░░███████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓"+strings.Repeat(" ", 28),
			HavePrefix(" B               ░░░░"),
			HavePrefix("    0s"),
			" 0 failed, 1002 requests, 251/s: A 126/s, B 125/s",
			" ━━━━━━━━━━━━━━━━━━──────────────────── 9.8 s of about 20 s",
		))
		s.Close()
		s.Close()
		s.Progress(time.Hour, time.Hour, counters)
		s.Event(demo.Event{At: 11 * time.Second, Lane: "A", Text: "later"})
		Expect(d.hidden).To(BeFalse())
		Expect(d.rows).To(HaveExactElements(
			"  1.00s  A           serving",
			"  5.00s  A           told to stop",
			" 11.00s  A           later",
		))
	})

	inBubble("redraws ten times a second at most", func() {
		d := &display{columns: 60}
		s := demo.NewScreenOn(d, d.size, unicodeColour)
		for i := range 2000 {
			s.Progress(time.Duration(i)*time.Millisecond, 20*time.Second, counters)
			s.Event(demo.Event{At: time.Duration(i), Text: "event"})
			time.Sleep(time.Millisecond)
		}
		Expect(d.writes).To(BeNumerically("<=", 22))
		s.Close()
		Expect(d.rows).To(HaveLen(2000), "no event is lost")
	})

	inBubble("has no colours if there are to be none", func() {
		d := &display{columns: 60}
		s := demo.NewScreenOn(d, d.size, demo.Style{Unicode: true})
		s.Phase(0, "A", demo.PhaseServing)
		s.Event(demo.Event{Lane: "A", Mark: demo.MarkFault, Text: "\x1b[2Jevil\n"})
		s.Progress(time.Second, 2*time.Second, demo.Counters{Total: 3, Failed: 2})
		s.Close()
		Expect(strings.ReplaceAll(d.all.String(), "\x1b[0m", "")).NotTo(MatchRegexp("\x1b\\[[0-9;]*m"))
		Expect(d.rows).To(HaveExactElements("  0.00s  A           ?[2Jevil"))
	})

	inBubble("fits a window of any size", func() {
		for columns := 1; columns < 120; columns++ {
			d := &display{columns: columns}
			var w io.Writer = d
			if columns <= 10 {
				w = io.Discard // it wraps there
			}
			s := demo.NewScreenOn(w, d.size, unicodeColour)
			s.Phase(0, "A", demo.PhaseServing)
			s.Phase(0, "a long name, and longer", demo.PhaseServing)
			s.Event(demo.Event{Lane: "A", Mark: demo.MarkSigterm, Text: strings.Repeat("text ", 50)})
			time.Sleep(time.Second)
			s.Progress(time.Second, 2*time.Second, counters)
			s.Close()
			Expect(d.hidden).To(BeFalse())
		}
	})

	inBubble("draws over lines that a smaller window has wrapped", func() {
		var b strings.Builder
		columns := 60
		s := demo.NewScreenOn(&b, func() (int, int) { return columns, 24 }, unicodeColour)
		s.Phase(0, "A", demo.PhaseServing) // a blank line, bar, axis and load
		columns = 30
		s.Close()
		Expect(b.String()).To(ContainSubstring("\x1b[5A\x1b[J"))
	})

	It("knows a terminal and its size", func() {
		tty, err := openTerminal()
		if err != nil {
			Skip("no pseudo-terminal can be opened: " + err.Error())
		}
		defer tty.Close()
		Expect(terminal.Interactive(tty, []string{"TERM=xterm"})).To(BeTrue())
		Expect(terminal.Interactive(tty, []string{"TERM=dumb"})).To(BeFalse())
		Expect(terminal.Interactive(tty, nil)).To(BeFalse())
		s := demo.NewScreen(tty, []string{"TERM=xterm"})
		defer s.Close()
		Expect(s.Width()).To(Equal(80), "its size is not known")
		raw, err := tty.SyscallConn()
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Control(func(fd uintptr) {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 132})
		})).To(Succeed())
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Width()).To(Equal(132))
	})
})

// openTerminal opens the master of a new pseudo-terminal, which is a terminal
// too.
func openTerminal() (*os.File, error) {
	return os.OpenFile(filepath.Join("/dev", "ptmx"), os.O_RDWR|unix.O_NOCTTY, 0)
}
