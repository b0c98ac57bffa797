package workload

import (
	"net"
	"testing"
)

// BenchmarkListening compares the ways to look for a listening socket with a
// look whether it is still there.
func BenchmarkListening(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := &listeningProbe{}
	_ = eachSocket("self", func(inode, link string) bool {
		p.inode, p.link = inode, link
		return false
	})
	for _, way := range []struct {
		name string
		list func() (listeners, error)
	}{{"asking the kernel", askKernel}, {"reading the tables", readTables}} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				if all, err := way.list(); err != nil || len(all) == 0 {
					b.Fatal("not found: ", err)
				}
			}
		})
	}
	b.Run("again, visible", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.probe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again, hidden", func(b *testing.B) {
		p := &listeningProbe{inode: p.inode}
		for b.Loop() {
			if _, err := p.probe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
