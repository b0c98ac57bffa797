package workload

import (
	"net"
	"os"
	"testing"
)

// BenchmarkListening compares the probe that looks for a listening socket with
// the one that looks whether it is still there.
func BenchmarkListening(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := &listeningProbe{}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if !p.find(os.Getpid(), listeningSockets()) {
				b.Fatal("not found")
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.probe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
