package demo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/ginkgo-suites/built"
)

// soaksAtOnce is one: what a soak measures is worth little on a machine that has
// much else to do.
var soaksAtOnce = make(chan struct{}, 1)

// slow is by how much one request of each container is late.
const slow = 400 * time.Millisecond

// countingService is another service than the demo's own: it writes down how
// many requests it got, and how many of them it answered with a failure. The
// program that runs this as a service is in countingProgram.
func countingService(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	after, _ := time.ParseDuration(os.Getenv("DEMO_SERVICE_READY_AFTER"))
	failEach, _ := strconv.ParseInt(os.Getenv("SOAK_TEST_FAIL_EACH"), 10, 64)
	readyAt := time.Now().Add(after)
	var requests, failed atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(readyAt) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		takes, _ := time.ParseDuration(r.URL.Query().Get("takes"))
		if n == 100 {
			takes += slow
		}
		<-time.After(takes)
		if failEach > 0 && n%failEach == 0 {
			failed.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	server := &http.Server{Addr: os.Getenv("DEMO_SERVICE_ADDRESS"), Handler: mux}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case <-ctx.Done():
	case err := <-ended:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := server.Shutdown(context.Background()); err != nil {
		return 1
	}
	line := fmt.Sprintln(requests.Load(), failed.Load())
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("count-", os.Getpid())), []byte(line), 0o600); err != nil {
		return 1
	}
	return 0
}

// countingProgram is handover with that service, and writes down the containers.
func countingProgram(dir, handover string, failEach int) string {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(dir, "program")
	script := fmt.Sprintf(`#!/bin/sh
if [ "$1" = run ]; then
	echo "$HANDOVER_SERVICE_CONTAINER_ID" >> '%[1]s/containers'
	exec '%[2]s' "$@"
fi
SOAK_TEST_DIR='%[1]s' SOAK_TEST_FAIL_EACH=%[3]d exec '%[4]s'
`, dir, handover, failEach, self)
	Expect(os.WriteFile(path, []byte(script), 0o700)).To(Succeed())
	return path
}

// counted is what the containers wrote down.
func counted(dir string) (handovers, requests, failed int) {
	GinkgoHelper()
	containers, err := os.ReadFile(filepath.Join(dir, "containers"))
	Expect(err).NotTo(HaveOccurred())
	files, err := filepath.Glob(filepath.Join(dir, "count-*"))
	Expect(err).NotTo(HaveOccurred())
	for _, path := range files {
		text, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		var r, f int
		_, err = fmt.Sscan(string(text), &r, &f)
		Expect(err).NotTo(HaveOccurred())
		requests, failed = requests+r, failed+f
	}
	return strings.Count(string(containers), "\n") - 1, requests, failed
}

// figures are the numbers of the report's lines that begin so.
func figures(out, line string) []string {
	GinkgoHelper()
	found := regexp.MustCompile(`(?m)^ ?` + line + ` +(.*)$`).FindStringSubmatch(out)
	Expect(found).NotTo(BeNil(), out)
	return strings.Fields(found[1])
}

func number(text string) int {
	GinkgoHelper()
	n, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred())
	return n
}

var _ = Describe("the soak", Ordered, func() {
	var (
		dir, handover, soak    string
		well, failing, mutated *run
		short                  *run
		counts                 = map[**run]string{} // where the containers of a run write what they count
	)
	all := os.Getenv("DEMO_ALL") != "" // else what shows most, in little time
	onlyIfAll := func() {
		if !all {
			Skip("set DEMO_ALL=1 for all soaks")
		}
	}
	command := func(tmp string, args ...string) *exec.Cmd {
		cmd := exec.Command(soak, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
		cmd.WaitDelay = 5 * time.Second
		return cmd
	}
	begin := func(args ...string) *run {
		return launch(dir, args, soaksAtOnce, func(tmp string) *exec.Cmd { return command(tmp, args...) })
	}
	counting := func(r **run, version string, failEach int) {
		var err error
		counts[r], err = os.MkdirTemp(dir, "counts")
		Expect(err).NotTo(HaveOccurred())
		*r = begin("--handovers", "2", "--plain", "--supervisor", version, "--program", countingProgram(counts[r], handover, failEach))
	}

	BeforeAll(func() {
		if testing.Short() {
			Skip("the soaks take a minute; run this suite without -short")
		}
		Expect(built.DependOnSources()).To(Succeed())
		var err error
		dir, err = os.MkdirTemp("", "handover-soak-suite")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		handover = build(dir, "handover", nil)
		soak = buildOf(dir, "soak", "/ginkgo-suites/soak", nil)
		counting(&well, "19.0.5", 0)
		counting(&failing, "14.13.9", 97)
		if all {
			mutant := build(dir, "mutant", mutate("cmd/handover/demo/service.go",
				"	open.finished()\n", "	_ = server.Close()\n"))
			mutated = begin("--handovers", "4", "--plain", "--program", mutant)
			short = begin("--soak", "8s", "--plain", "--supervisor", "17.6", "--program", handover)
		}
	})
	AfterAll(func() {
		for _, r := range []*run{well, failing, mutated, short} {
			if r != nil {
				<-r.done
			}
		}
	})

	DescribeTable("reports what the containers themselves count", func(ctx SpecContext, of **run, code int, version string, failEach int) {
		(*of).wait(ctx)
		if strings.Contains((*of).out, "the machine let this process") { // once more, on a machine that is shared
			counting(of, version, failEach)
			(*of).wait(ctx)
		}
		r := *of
		Expect(r.code).To(Equal(code), r.out)
		handovers, requests, failed := counted(counts[of])
		Expect(handovers).To(Equal(2))
		across, quiet := figures(r.out, "during hand-overs"), figures(r.out, "quiet times")
		Expect(number(across[0])+number(quiet[0])).To(Equal(requests), r.out)
		Expect(number(across[1])+number(quiet[1])).To(Equal(failed), r.out)
		Expect(number(across[0])).To(BeNumerically(">", 0))
		Expect(r.out).To(ContainSubstring("2 hand-overs, %d requests, %d failed", requests, failed))
		// Request number 100 of a container comes while the older one still ends.
		worst, err := time.ParseDuration(across[5])
		Expect(err).NotTo(HaveOccurred())
		Expect(worst).To(BeNumerically(">=", slow))
		Expect(strings.Count(r.out, " -> ")).To(Equal(2), "a line for each hand-over")
		Expect(r.out).To(ContainSubstring("left behind: nothing"))
		Expect(failed > 0).To(Equal(code > 0))
		if failed > 0 {
			Expect(r.out).To(MatchRegexp(`soak: the soak was not as it must be:\n(.*\n)*hand-over \d: \d+ of \d+ requests failed`))
			Expect(r.out).To(ContainSubstring("status 500"))
		} else {
			Expect(r.out).NotTo(ContainSubstring("soak:"))
		}
		r.expectNothingLeft()
	},
		Entry("if all is well, on 19.0.5", SpecTimeout(10*time.Minute), &well, 0, "19.0.5", 0),
		Entry("if requests fail, on 14.13.9", SpecTimeout(10*time.Minute), &failing, 1, "14.13.9", 97),
	)

	It("fails with a service that drops what is in flight when it is to stop", func(ctx SpecContext) {
		onlyIfAll()
		r := mutated
		r.wait(ctx)
		Expect(r.code).To(Equal(1), r.out)
		Expect(r.out).To(MatchRegexp(`soak: the soak was not as it must be:\n(.*\n)*hand-over \d: \d+ of \d+ requests failed`))
		Expect(r.out).To(MatchRegexp(`what happened in hand-over \d:\n(.*\n)*.*front +a request of 1s to [A-Z]\d failed`))
		r.expectNothingLeft()
	}, SpecTimeout(10*time.Minute))

	It("begins no hand-over after its time", func(ctx SpecContext) {
		onlyIfAll()
		r := short
		r.wait(ctx)
		Expect(r.code).To(BeZero(), r.out)
		Expect(r.out).To(MatchRegexp(`(?m)^[1-9] hand-overs, \d+ requests, 0 failed$`))
		r.expectNothingLeft()
	}, SpecTimeout(10*time.Minute))

	It("ends in order when it is interrupted, with the report so far", func(ctx SpecContext) {
		onlyIfAll()
		r := &run{}
		var err error
		r.dir, err = os.MkdirTemp(dir, "ended")
		Expect(err).NotTo(HaveOccurred())
		cmd := command(r.dir, "--handovers", "1000", "--plain", "--supervisor", "12", "--program", handover)
		reader, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		var said strings.Builder
		cmd.Stderr = &said
		Expect(cmd.Start()).To(Succeed())
		lines := bufio.NewScanner(reader)
		for lines.Scan() && !strings.Contains(lines.Text(), " -> ") {
		}
		Expect(cmd.Process.Signal(syscall.SIGINT)).To(Succeed())
		rest, err := io.ReadAll(reader)
		Expect(err).NotTo(HaveOccurred())
		var exit *exec.ExitError
		Expect(errors.As(cmd.Wait(), &exit)).To(BeTrue())
		Expect(exit.ExitCode()).To(Equal(1))
		Expect(string(rest)).To(MatchRegexp(`(?m)^1 hand-overs, \d+ requests, 0 failed$`))
		Expect(said.String()).To(HaveSuffix("it was ended before its time, after 1 hand-overs\n"))
		r.expectNothingLeft()
	}, SpecTimeout(10*time.Minute))

	DescribeTable("refuses what it does not know", func(says string, args ...string) {
		out, _ := command(dir, args...).CombinedOutput()
		Expect(string(out)).To(ContainSubstring(says))
		cmd := command(dir, args...)
		Expect(cmd.Run()).NotTo(Succeed())
		Expect(cmd.ProcessState.ExitCode()).To(Equal(64))
	},
		Entry("no end", "say for how long with --soak"),
		Entry("no time", "--soak must be above 0s", "--soak", "0s"),
		Entry("a time without unit", `invalid value "5"`, "--soak", "5"),
		Entry("no number", "--handovers must be 1 or more", "--handovers", "0"),
		Entry("a version", "use one of 12, 14.13.9, 17.6, 19.0.5", "--handovers", "1", "--supervisor", "20"),
		Entry("a program", "--program must be the path of handover", "--handovers", "1", "--program", "/nowhere"),
		Entry("an argument", "it takes no arguments", "--handovers", "1", "update"),
	)
})
