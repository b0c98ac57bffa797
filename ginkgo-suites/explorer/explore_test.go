package explorer_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// explore runs what EXPLORE says: one seed, which is told in full; a range of
// seeds, FROM-TO, in several processes; or a file with a plan.
func explore(t *testing.T, what string) {
	if text, err := os.ReadFile(what); err == nil {
		p, err := parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		tellAll(t, &p)
		return
	}
	from, to, several := strings.Cut(what, "-")
	first, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		t.Fatalf("EXPLORE is %q; use a seed, FROM-TO, or a file with a plan", what)
	}
	if !several {
		p := generate(first)
		tellAll(t, &p)
		return
	}
	end, err := strconv.ParseUint(to, 10, 64)
	if err != nil {
		t.Fatalf("EXPLORE is %q; use a seed, FROM-TO, or a file with a plan", what)
	}
	exploreRange(t, first, end)
}

// tellAll tells one story in full, and fails if it does.
func tellAll(t *testing.T, p *plan) {
	o := retell(t, p, tell(t, p, true))
	fmt.Println(report(p, o))
	if len(o.wrong) == 0 {
		return
	}
	if os.Getenv("EXPLORE_SHRINK") != "" {
		short := shrink(t, *p, o.wrong[0].invariant)
		fmt.Println("shortened:\n" + report(&short, retell(t, &short, o)))
	}
	t.Errorf("seed %d fails", p.Seed)
}

// sliceSize is how many seeds one process explores before another one takes
// its place.
const sliceSize = 5000

// exploreRange explores seeds in several processes, each on one processor.
func exploreRange(t *testing.T, from, to uint64) {
	processes := 1
	if n, err := strconv.Atoi(os.Getenv("EXPLORE_PROCESSES")); err == nil {
		processes = n
	}
	dir := t.TempDir()
	began := time.Now()
	slicesOf := make(chan [2]uint64)
	var running sync.WaitGroup
	var mu sync.Mutex
	var failing []string
	var cpu time.Duration
	done := uint64(0)
	for i := range processes {
		running.Go(func() {
			for s := range slicesOf {
				lines, used := runSlice(filepath.Join(dir, strconv.Itoa(i)), s[0], s[1])
				mu.Lock()
				failing = append(failing, lines...)
				cpu += used
				done += s[1] - s[0]
				for _, line := range lines {
					fmt.Println(line)
				}
				fmt.Printf("%d seeds in %v, %v of processor time each, %d failing\n",
					done, time.Since(began).Round(time.Second), (cpu / time.Duration(done)).Round(time.Microsecond), len(failing))
				mu.Unlock()
			}
		})
	}
	for at := from; at < to; at += sliceSize {
		slicesOf <- [2]uint64{at, min(at+sliceSize, to)}
	}
	close(slicesOf)
	running.Wait()
	counts := map[string]int{}
	for _, line := range failing {
		if f := strings.Fields(line); len(f) > 3 {
			counts[f[3]]++
		}
	}
	fmt.Println("failing, by invariant:", counts)
	if len(failing) > 0 {
		t.Errorf("%d of %d seeds fail; EXPLORE=SEED tells one", len(failing), to-from)
	}
}

// runSlice explores a slice in another process. One that dies is a failing
// seed, and the rest of the slice is explored by another one.
func runSlice(progress string, from, to uint64) (failing []string, used time.Duration) {
	for from < to {
		cmd := exec.Command(os.Args[0], "-test.run=^TestExplorer$", "-test.timeout=0", "-test.count=1")
		cmd.Env = append(os.Environ(), fmt.Sprintf("EXPLORE_SLICE=%d-%d", from, to), "EXPLORE_PROGRESS="+progress, "GOMAXPROCS=1")
		out, err := cmd.CombinedOutput()
		used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		whole := false
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "failing seed") {
				failing = append(failing, lines.Text())
			}
			whole = whole || lines.Text() == "explored"
		}
		if whole {
			return failing, used
		}
		at, _ := os.ReadFile(progress)
		if len(at) != 8 {
			return append(failing, fmt.Sprintf("failing seed %d process died: %v %s", from, err, out)), used
		}
		from = binary.LittleEndian.Uint64(at)
		cause := slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool {
			return !strings.HasPrefix(l, "panic:") && !strings.HasPrefix(l, "fatal error:")
		})
		failing = append(failing, fmt.Sprintf("failing seed %d died %v %s", from, err, strings.Join(cause, "; ")))
		from++
	}
	return failing, used
}

// exploreSlice explores seeds in this process.
func exploreSlice(t *testing.T, what string) {
	debug.SetGCPercent(400)
	var from, to uint64
	if _, err := fmt.Sscanf(what, "%d-%d", &from, &to); err != nil {
		t.Fatal(err)
	}
	var progress *os.File
	if path := os.Getenv("EXPLORE_PROGRESS"); path != "" {
		var err error
		if progress, err = os.Create(path); err != nil {
			t.Fatal(err)
		}
		defer progress.Close()
	}
	most, failed := 1<<30, 0
	if n, err := strconv.Atoi(os.Getenv("EXPLORE_MOST")); err == nil {
		most = n // failing seeds are enough
	}
	for seed := from; seed < to && failed < most; seed++ {
		if progress != nil {
			_, _ = progress.WriteAt(binary.LittleEndian.AppendUint64(nil, seed), 0)
		}
		p := generate(seed)
		if o := tell(t, &p, false); len(o.wrong) > 0 {
			failed++
			fmt.Printf("failing seed %d %s %v\n", seed, o.wrong[0].invariant, o.wrong)
		}
	}
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	fmt.Println("explored")
}
