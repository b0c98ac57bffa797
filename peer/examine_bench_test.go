package peer

import (
	"net/netip"
	"testing"
	"time"
)

// benchmarkTaken measures all that is done with a datagram of a peer that is known,
// from its bytes to the table. With a clock, each says when it was sent.
func benchmarkTaken(b *testing.B, uptime func() time.Duration, secrets ...[]byte) {
	keys, err := NewKeyring(secrets...)
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{Domain: Domain{1}, Uptime: uptime, Secrets: secrets}
	cfg.Self.Instance = instance(9)
	n := &Node{cfg: cfg, counters: newCounters([]string{"multicast"})}
	r := newReader(n, 0, nil)
	t := newTable(35*time.Second, []string{"multicast"})
	a := word(1, 1, clocked, PhaseServing)
	a.Domain, a.ForgetAfter, a.Release, a.Timed = cfg.Domain, 35*time.Second, 1001, uptime() > 0
	a.FirstStart = FirstStart{Boot: [4]byte{1}, Since: time.Minute}
	// All at once: neither the datagrams nor the time of making them is measured.
	const prepared = 1 << 9
	var datagrams [prepared][]byte
	prepare := func() {
		if a.Timed {
			a.Sequence = max(a.Sequence, uint64(uptime()))
		}
		for i := range datagrams {
			if !a.Timed || time.Duration(a.Sequence) < uptime() {
				a.Sequence++
			}
			datagrams[i], err = a.Append(datagrams[i][:0], keys)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	buf := make([]byte, MaxDatagram+1)
	b.ReportAllocs()
	i := prepared
	for b.Loop() {
		if i == prepared {
			b.StopTimer()
			prepare()
			i = 0
			b.StartTimer()
		}
		h := heard{received: Received{N: copy(buf, datagrams[i]), Time: time.Now()}}
		i++
		if reason := r.examine(&h, buf); reason != NotDropped {
			b.Fatal(reason)
		}
		if v := t.accept(&h.announcement, netip.Addr{}, h.received.Time, 0); v.drop != NotDropped {
			b.Fatal(v.drop)
		}
	}
}

func unclocked() time.Duration { return 0 }

func BenchmarkTaken(b *testing.B)                { benchmarkTaken(b, uptime) }
func BenchmarkTakenUnclocked(b *testing.B)       { benchmarkTaken(b, unclocked) }
func BenchmarkTakenSigned(b *testing.B)          { benchmarkTaken(b, uptime, []byte("k")) }
func BenchmarkTakenSignedUnclocked(b *testing.B) { benchmarkTaken(b, unclocked, []byte("k")) }

func BenchmarkUptime(b *testing.B) {
	for b.Loop() {
		if uptime() == 0 {
			b.Fatal("there is no clock")
		}
	}
}
