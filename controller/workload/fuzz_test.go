package workload

import (
	"strings"
	"testing"
)

func FuzzParseListening(f *testing.F) {
	f.Add("0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 0")
	f.Add("0: :: 0 0A 0 0 0 0 0 ")
	f.Fuzz(func(t *testing.T, line string) {
		if inode, l, ok := parseListening(line); ok && (inode == "" || !l.address.IsValid()) {
			t.Errorf("understood %q as inode %q, address %v", line, inode, l.address)
		}
	})
}

func FuzzWithoutRepeats(f *testing.F) {
	f.Add("A=1\x00A=2\x00odd\x00")
	f.Fuzz(func(t *testing.T, block string) {
		once := withoutRepeats(strings.Split(block, "\x00"))
		if twice := withoutRepeats(once); len(twice) != len(once) {
			t.Errorf("%q has repeats left: %q", block, once)
		}
	})
}
