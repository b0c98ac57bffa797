package demo_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// FuzzDrawing draws random events, at random times, in lanes of random names.
func FuzzDrawing(f *testing.F) {
	f.Add([]byte("A\x00\x01\x02\x03\x04\x05\x06\x07\x08"), "serving", "\x1b[31m\r\n\u202e日本", int64(10*time.Second), 80)
	f.Add([]byte{}, "", "", int64(0), 0)
	f.Add(bytes.Repeat([]byte{0xff, 0x7f}, 100), "gone", "\u0085\u009b", int64(-1), 20)
	f.Add(bytes.Repeat([]byte{0x12, 0x34, 0x56}, 100), "draining", "a\u0301", int64(1)<<62, 100000)
	f.Fuzz(func(t *testing.T, data []byte, phase, text string, end int64, width int) {
		g := NewWithT(t)
		timeline := &demo.Timeline{}
		var events bytes.Buffer
		printer := demo.NewPlain(&events)
		count := 0
		for ; len(data) >= 10 && count < 100; count++ {
			name := text[:min(len(text), int(data[0]%5))]
			at := time.Duration(binary.LittleEndian.Uint64(data[1:9]))
			e := demo.Event{At: at, Lane: name, Mark: demo.Mark(int8(data[9])), Text: text}
			timeline.Event(e)
			printer.Event(e)
			timeline.Phase(at/3, name, phase)
			timeline.Phase(at/2, name, []string{demo.PhaseServing, demo.PhaseDraining, demo.PhaseEnded}[data[9]%3])
			data = data[10:]
		}
		expectPlain(g, events.String())
		g.Expect(widest(events.String())).To(BeNumerically("<=", 110))
		g.Expect(bytes.Count(events.Bytes(), []byte("\n"))).To(Equal(count))

		for _, style := range []demo.Style{{}, {Unicode: true}, {Unicode: true, Colour: true}} {
			text := drawn(timeline, time.Duration(end), width, style)
			g.Expect(widest(text)).To(BeNumerically("<=", max(10, width)))
			if style == (demo.Style{}) {
				expectPlain(g, text)
			}
			g.Expect(controls(escapes.ReplaceAllString(text, ""))).To(BeEmpty())
		}
	})
}
