package peer_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/peer"
)

// floodVariable makes this test binary the target of a flood: a node on
// loopback with that configuration. For each line on its standard input it
// prints a floodCount; it ends with its standard input.
const floodVariable = "PEER_TEST_FLOOD"

// floodCount is what a target has done since its start.
type floodCount struct {
	Filter      bool
	Read, Own   uint64 // datagrams that woke it, accepted ones
	KernelDrops uint64
	CPU         time.Duration
}

func beFloodTarget(text string) error {
	var cfg peer.MulticastConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	m, err := peer.OpenMulticast(cfg)
	if err != nil {
		return err
	}
	n, err := peer.Start(peer.Config{
		Self: peer.Identity{Instance: peer.NewInstanceID()}, Domain: testDomain, Legacy: true, Ways: []peer.Way{m},
	})
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		way := n.Stats().Ways[0]
		if err := json.NewEncoder(os.Stdout).Encode(floodCount{
			Filter: way.Kernel.Filter, KernelDrops: way.Kernel.Drops,
			Read: way.Received, Own: way.Received - way.DroppedTotal(),
			CPU: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		}); err != nil {
			return err
		}
	}
	return n.Close(context.Background())
}

// startFloodTarget starts one and returns how to ask it.
func startFloodTarget(b *testing.B, cfg peer.MulticastConfig) func() floodCount {
	b.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), floodVariable+"="+string(text))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	answers := json.NewDecoder(stdout)
	return func() (count floodCount) {
		b.Helper()
		if _, err := io.WriteString(stdin, "\n"); err != nil {
			b.Fatal(err)
		}
		if err := answers.Decode(&count); err != nil {
			b.Fatal(err)
		}
		return count
	}
}

// BenchmarkFlood sends announcements of other services, of other versions and of
// wrong lengths to a node in another process, as fast as one processor can, and
// every 20 ms one of a peer. It
// reports how many datagrams reached the process, what they cost it, and how
// much of what the peer said was heard. One operation is one datagram sent,
// delivery by the kernel included.
func BenchmarkFlood(b *testing.B) {
	for _, c := range []struct {
		name   string
		filter *peer.Filter
	}{
		{"filter", &peer.Filter{Domain: testDomain, Legacy: true}},
		{"unfiltered", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := onLoopback()
			cfg.Filter = c.filter
			ask := startFloodTarget(b, cfg)
			before := ask() // it listens
			if before.Filter != (c.filter != nil) {
				b.Skip("this kernel takes no filter")
			}
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			lo, err := net.InterfaceByName("lo")
			if err != nil {
				b.Fatal(err)
			}
			if err := ipv4.NewPacketConn(conn).SetMulticastInterface(lo); err != nil {
				b.Fatal(err)
			}
			foreign, own := foreigners(), sample()
			to := &net.UDPAddr{IP: cfg.Group.AsSlice(), Port: cfg.Port}
			var sent, said uint64
			start, next := time.Now(), time.Now()
			for b.Loop() {
				raw := foreign[sent%uint64(len(foreign))]
				if now := time.Now(); now.After(next) {
					next = now.Add(20 * time.Millisecond)
					said++
					own.Sequence++
					raw = encode(own, nil)
				}
				if _, err := conn.WriteToUDP(raw, to); err != nil {
					b.Fatal(err)
				}
				sent++
			}
			took := time.Since(start).Seconds()
			after := ask()
			b.ReportMetric(float64(sent)/took, "sent/s")
			b.ReportMetric(float64(after.Read-before.Read)/took, "read/s")
			b.ReportMetric(float64(after.CPU-before.CPU)/float64(sent), "cpu-ns/sent")
			b.ReportMetric(float64(after.CPU-before.CPU)/1e9/took*100, "cpu-%")
			b.ReportMetric(100*float64(after.Own-before.Own)/float64(said), "own-heard-%")
			b.ReportMetric(float64(after.KernelDrops-before.KernelDrops)/took, "kernel-drops/s")
		})
	}
}
