package peer_test

import (
	"testing"

	"github.com/handover-controller/handover/peer"
)

func benchmarkDecode(b *testing.B, raw []byte, keys *peer.Keyring) {
	var a peer.Announcement
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := a.Decode(raw, testDomain, keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBase(b *testing.B) {
	benchmarkDecode(b, encode(peer.Announcement{Legacy: true, StartMilli: 1}, nil), nil)
}

func BenchmarkDecodeExtended(b *testing.B) { benchmarkDecode(b, encode(sample(), nil), nil) }

func BenchmarkDecodeSigned(b *testing.B) {
	keys := mustKeys("k")
	benchmarkDecode(b, encode(sample(), keys), keys)
}

func BenchmarkDecodeForeign(b *testing.B) {
	raw := encode(sample(), nil)
	var a peer.Announcement
	b.ReportAllocs()
	for b.Loop() {
		if a.Decode(raw, peer.Domain{}, nil) == nil {
			b.Fatal("accepted")
		}
	}
}

func benchmarkAppend(b *testing.B, keys *peer.Keyring) {
	a := sample()
	buf := make([]byte, 0, peer.MaxDatagram)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Append(buf, keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B)       { benchmarkAppend(b, nil) }
func BenchmarkAppendSigned(b *testing.B) { benchmarkAppend(b, mustKeys("k")) }
