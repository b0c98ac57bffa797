package run_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handover-controller/handover/cmd/handover/demo"
)

// buildRelease builds the program as releases are built.
func buildRelease(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "handover")
	build := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags=-s -w", "-o", path,
		"github.com/handover-controller/handover/cmd/handover")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	return path
}

// benchEnviron is for a container on ports of its own, so that what others say
// on loopback does not wake it.
func benchEnviron(b *testing.B, letter string) []string {
	dir, port := b.TempDir(), 20000+2*(os.Getpid()%20000)
	return []string{
		"PATH=" + os.Getenv("PATH"), "BALENA_APP_ID=1", "BALENA_SERVICE_NAME=bench",
		"HANDOVER_SERVICE_CONTAINER_ID=" + strings.Repeat(letter, 64), "HANDOVER_SERVICE_STATE_DIR=" + dir,
		"HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", "HANDOVER_STATUS_SOCKET=" + filepath.Join(dir, "sock"),
		fmt.Sprint("HANDOVER_NETWORK_PORT=", port), fmt.Sprint("HANDOVER_ANNOUNCE_STATUS_PORT=", port+1),
		"HANDOVER_LOG_LEVEL=error",
	}
}

// BenchmarkStartUp compares `true` with `handover run -- true`, in a container
// that is started for the first time, and in one that is started again, which
// listens to its peers for 150 ms first.
func BenchmarkStartUp(b *testing.B) {
	program := buildRelease(b)
	for _, c := range []struct {
		name  string
		argv  []string
		first bool
	}{
		{"true", []string{"true"}, true},
		{"handover run -- true", []string{program, "run", "--", "true"}, true},
		{"handover run -- true, again", []string{program, "run", "--", "true"}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			environ := benchEnviron(b, "a")
			for n := 0; b.Loop(); n++ {
				if c.first {
					environ = append(environ, fmt.Sprintf("HANDOVER_SERVICE_CONTAINER_ID=%012d", n))
				}
				cmd := exec.Command(c.argv[0], c.argv[1:]...)
				cmd.Env = environ
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdle reports what an instance costs that serves and hears nobody:
// resident memory, processor time, and how often its threads went to sleep and
// were woken. Each round is ten seconds, one announcement, long. On balena there
// is a shared folder.
func BenchmarkIdle(b *testing.B) {
	program := buildRelease(b)
	const (
		after    = "HANDOVER_READINESS_AFTER=1s"
		probed   = "HANDOVER_READINESS_TCP="
		listener = demo.VariableAddress + "=" // the default: the service itself listens
	)
	for _, c := range []struct {
		name, readiness string
		folder          bool
	}{
		{"ready after its start", after, false},
		{"ready after its start, with the folder", after, true},
		{"probed over TCP every 5 s", probed, false},
		{"probed over TCP every 5 s, with the folder", probed, true},
		{"the default check, every 5 s, with the folder", listener, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			environ := append(benchEnviron(b, "a"), "HANDOVER_ANNOUNCE_FOLDER=off")
			if c.folder {
				environ = append(environ, "HANDOVER_ANNOUNCE_FOLDER="+b.TempDir())
			}
			service := []string{"sleep", "3600"}
			if c.readiness != after {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				c.readiness += l.Addr().String()
				if strings.HasPrefix(c.readiness, listener) {
					_ = l.Close()
					service = []string{program, "demo-service"}
				} else {
					defer func() { _ = l.Close() }()
				}
			}
			cmd := exec.Command(program, append([]string{"run", "--"}, service...)...)
			cmd.Env = append(environ, c.readiness)
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			time.Sleep(5 * time.Second) // its first burst and its readiness are not idleness
			rounds := 0
			before, ran := switches(b, cmd.Process.Pid), processor(b, cmd.Process.Pid)
			b.ResetTimer()
			for b.Loop() {
				time.Sleep(10 * time.Second) // what is measured
				rounds++
			}
			b.ReportMetric(float64(switches(b, cmd.Process.Pid)-before)*6/float64(rounds), "wake-ups/min")
			b.ReportMetric((processor(b, cmd.Process.Pid)-ran).Seconds()*360/float64(rounds), "s-processor/hour")
			b.ReportMetric(float64(field(b, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid), "VmRSS:"))/1024, "MiB-resident")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// switches sums the voluntary context switches of all threads.
func switches(b *testing.B, pid int) int {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatal("no threads:", err)
	}
	sum := 0
	for _, task := range tasks {
		sum += field(b, task, "voluntary_ctxt_switches:")
	}
	return sum
}

// processor sums how long all threads have run.
func processor(b *testing.B, pid int) time.Duration {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatal("no threads:", err)
	}
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			b.Fatal(err)
		}
		var ran time.Duration
		_, _ = fmt.Sscan(string(text), &ran)
		sum += ran
	}
	return sum
}

// field reads a number of a file in /proc.
func field(b *testing.B, path, name string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			var n int
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	b.Fatal(path, "has no", name)
	return 0
}
