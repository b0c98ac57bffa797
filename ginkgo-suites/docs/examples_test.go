package docs_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// The examples of config/EXAMPLES.md are run as they stand there, but for ports
// and paths of this machine. What they need beside the language is in
// testdata/standins: modules that behave as Redis, a broker and a meter do.
var _ = Describe("The example of", func() {
	type example struct{ settings, file, program string }
	var examples map[string]example
	BeforeEach(func() {
		examples = map[string]example{}
		blocks := pages()["config/EXAMPLES.md"].blocks
		for i := 0; i+1 < len(blocks); i += 2 {
			Expect(blocks[i].language).To(Equal("yaml"))
			examples[blocks[i].mark] = example{blocks[i].text, blocks[i+1].mark, blocks[i+1].text}
		}
		Expect(examples).To(HaveLen(4))
	})

	// start runs the example, and returns it once it is serving.
	start := func(ctx context.Context, interpreter string, e example, places ...string) *gexec.Session {
		path, err := exec.LookPath(interpreter)
		if err != nil {
			Skip(interpreter + " is not installed")
		}
		// Short: the path of a socket has 107 bytes at most.
		dir, err := os.MkdirTemp("", "docs")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		swap := strings.NewReplacer(append(places, "/tmp/ready", filepath.Join(dir, "ready"), "0.0.0.0:9155", "127.0.0.1:0",
			"/dev/ttyUSB0", "/dev/null")...)
		for name, text := range map[string]string{"handover.yaml": e.settings, e.file: e.program} {
			Expect(os.WriteFile(filepath.Join(dir, name), []byte(swap.Replace(text)), 0o600)).To(Succeed())
		}
		standins, err := filepath.Abs(filepath.Join("testdata", "standins"))
		Expect(err).NotTo(HaveOccurred())
		run := exec.Command(binary, "run", "--", path, e.file)
		run.Dir = dir
		run.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYTHONPATH=" + standins, "PYTHONDONTWRITEBYTECODE=1",
			"HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", "HANDOVER_NETWORK_PORT=21537",
			"HANDOVER_ANNOUNCE_STATUS_PORT=0", "HANDOVER_ANNOUNCE_FOLDER=" + dir, "HANDOVER_SERVICE_STATE_DIR=" + dir,
			"HANDOVER_SERVICE_NAME=" + filepath.Base(dir), "HANDOVER_STATUS_SOCKET=" + filepath.Join(dir, "socket"),
			"HANDOVER_POLICY_COMPLETE_PATH=" + filepath.Join(dir, "handover-complete"),
			// What only takes time here.
			"HANDOVER_READINESS_PERIOD=20ms", "HANDOVER_POLICY_DISCOVERY=1s", "HANDOVER_POLICY_DRAIN_DELAY=100ms",
		}
		session, err := gexec.Start(run, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			session.Kill()
			<-session.Exited
		})
		Eventually(func() string {
			status := exec.CommandContext(ctx, binary, "status", "--json")
			status.Dir, status.Env = dir, run.Env
			out, _ := status.Output()
			var answer struct{ Phase string }
			_ = json.Unmarshal(out, &answer)
			return answer.Phase
		}).WithContext(ctx).WithPolling(50 * time.Millisecond).Should(Equal("serving"))
		return session
	}
	// stop sends SIGTERM, and wants the end that the document promises.
	stop := func(ctx context.Context, session *gexec.Session, lastWords string) {
		session.Signal(syscall.SIGTERM)
		Eventually(session).WithContext(ctx).Should(gexec.Exit(0))
		Expect(session.Out).To(gbytes.Say(lastWords))
	}

	It("an HTTP service answers what is in flight", func(ctx SpecContext) {
		address := simulator.FreeAddress()
		_, port, err := net.SplitHostPort(address)
		Expect(err).NotTo(HaveOccurred())
		// A connection that is kept alive holds the end up for so long: five seconds
		// would not be seen on a loaded machine. Then policy.drain_timeout ends it.
		session := start(ctx, "node", examples["http"], "server.listen(8080)", "server.keepAliveTimeout = 600_000\nserver.listen("+port+")", "8080", port)

		sent := make(chan struct{})
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
		})
		request, err := http.NewRequestWithContext(traced, http.MethodGet, "http://"+address+"/", nil)
		Expect(err).NotTo(HaveOccurred())
		answers := make(chan string, 1)
		go func() {
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer func() { _ = answer.Body.Close() }()
			text, _ := io.ReadAll(answer.Body)
			answers <- string(text)
		}()
		Eventually(sent).WithContext(ctx).Should(BeClosed())
		// An answer takes 500 ms, the drain begins after 200.
		stop(ctx, session, "")
		Expect(<-answers).To(Equal("done\n"))
	}, SpecTimeout(2*time.Minute))

	It("a queue worker finishes the job in hand", func(ctx SpecContext) {
		session := start(ctx, "python3", examples["worker"])
		Eventually(session.Out).WithContext(ctx).Should(gbytes.Say("worked on job 1"))
		stop(ctx, session, "nothing is in hand")
	}, SpecTimeout(2*time.Minute))

	It("an MQTT client disconnects", func(ctx SpecContext) {
		session := start(ctx, "python3", examples["mqtt"])
		Eventually(session.Out).WithContext(ctx).Should(gbytes.Say("did command"))
		stop(ctx, session, "disconnected")
	}, SpecTimeout(2*time.Minute))

	It("the owner of a serial port closes it", func(ctx SpecContext) {
		session := start(ctx, "python3", examples["serial"])
		Eventually(session.Out).WithContext(ctx).Should(gbytes.Say("read 42"))
		stop(ctx, session, "closed between two telegrams")
	}, SpecTimeout(2*time.Minute))
})
