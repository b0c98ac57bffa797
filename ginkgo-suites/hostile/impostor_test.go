package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// orders are what a terminal would take for more than text.
const orders = "\x1b]0;owned\a\u009b2J\u202e"

// impostor is this test binary executed as somebody who answers in the place of
// an instance: whatever is asked for, it is well.
func impostor() int {
	becomeUser()
	l, err := net.Listen("unix", os.Getenv("IMPOSTOR_PATH"))
	if err == nil {
		err = os.Chmod(os.Getenv("IMPOSTOR_PATH"), 0o666)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() { _ = http.Serve(l, http.HandlerFunc(lie)) }()
	fmt.Println("here")
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is ours
	return 0
}

// lie answers as an instance does, and more.
func lie(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		fmt.Fprintln(w, "ok")
	case os.Getenv("IMPOSTOR_ENDLESS") != "":
		_, _ = io.WriteString(w, `{"message":"`)
		for block := bytes.Repeat([]byte("x"), 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	default:
		quoted := strings.NewReplacer("\x1b", `\u001b`, "\a", `\u0007`).Replace(orders)
		text := fmt.Sprintf(`{"phase":"serving%[1]s","message":"%[1]s","conditions":[{"type":"Ready","status":"%[1]s"}],`+
			`"peers":[{"container":"%[1]s","ways":["%[1]s"]}],"supervisor":{"mode":"%[1]s","containers":[{"id":"%[1]s"}]},`+
			`"events":[{"type":"Normal","reason":"%[1]s","message":"%[1]s","details":"%[1]s"}]}`, quoted)
		if r.URL.Path == "/events" {
			text = "event: status\ndata: " + text + "\n\n"
		}
		_, _ = io.WriteString(w, text)
	}
}

// command runs a command of the program as in this container. It returns the
// exit status and all that was printed.
func (i *instance) command(arguments ...string) (int, string) {
	GinkgoHelper()
	cmd := exec.Command(program, arguments...)
	cmd.Env = i.environ()
	cmd.Dir = i.rig.dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		Expect(err).NotTo(HaveOccurred())
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

var _ = Describe("Somebody else on the status socket", func() {
	var r *rig
	BeforeEach(func() {
		r = newRig()
		Expect(os.Chmod(r.dir, 0o777)).To(Succeed())
	})

	takePlace := func(i *instance, uid int, settings ...string) {
		GinkgoHelper()
		said := play("impostor", uid, append(settings, "IMPOSTOR_PATH="+i.socket())...)
		Eventually(said.String, patience).Should(ContainSubstring("here"))
	}

	It("of another user makes nothing healthy, and keeps nobody from the instance", func() {
		if os.Geteuid() != 0 {
			Skip("only root can attack as another user")
		}
		a := r.container("a")
		takePlace(a, nobody)
		for _, command := range []string{"probe", "status"} {
			code, text := a.command(command)
			Expect(code).To(Equal(1), text)
			Expect(text).To(ContainSubstring("another user listens there"))
		}
		_, text := a.command("check")
		Expect(text).To(ContainSubstring("no instance of this container answers"))

		By("the instance, which starts beside it")
		a.ready()
		a.serve()
		Eventually(func() string {
			_, text := a.command("status")
			return text
		}, patience, "50ms").Should(MatchRegexp(`Phase: +serving`))
		code, text := a.command("probe")
		Expect(code).To(BeZero(), text)
		Expect(a.err.String()).To(ContainSubstring("another instance answers on it"))
	})

	It("of the same user gives no orders to a terminal", func() {
		a := r.container("a")
		takePlace(a, os.Geteuid())
		for _, command := range [][]string{{"status"}, {"status", "--json"}, {"status", "--watch"}, {"status", "--watch", "--json"}, {"check"}} {
			_, text := a.command(command...)
			Expect(text).To(ContainSubstring("owned"), "%q", command)
			for _, r := range text {
				Expect(r == '\n' || !strings.ContainsRune(orders, r) || r >= ' ' && r < 0x7f).To(BeTrue(), "%q: %q", command, text)
			}
		}
	})

	It("of the same user is not read without an end", func() {
		a := r.container("a")
		takePlace(a, os.Geteuid(), "IMPOSTOR_ENDLESS=yes")
		for _, command := range [][]string{{"status"}, {"status", "--json"}, {"status", "--watch"}, {"check"}} {
			code, text := a.command(command...)
			Expect(len(text)).To(BeNumerically("<", 64<<10), "%q", command)
			if command[0] == "status" {
				Expect(code).To(Equal(1), "%q: %s", command, text)
			}
		}
	})
})

var _ = Describe("Two containers with one folder for their sockets", func() {
	It("have a socket each, and no probe is answered by the other one", func() {
		r := newRig()
		a, b := r.container("a"), r.container("b")
		shared := filepath.Join(r.dir, "h.sock")
		a.at, b.at = shared, shared
		a.ready()
		a.serve().until("serving", patience)
		code, text := b.command("probe")
		Expect(code).To(Equal(1))
		Expect(text).To(ContainSubstring("that of another container: aaaaaaaaaaaa"))

		b.serve()
		phase := func(i *instance) func() string {
			return func() string {
				_, text := i.command("status")
				return text
			}
		}
		Eventually(phase(b), patience, "50ms").Should(And(MatchRegexp(`Container: +bbbbbbbbbbbb`), MatchRegexp(`Phase: +starting`)))
		Expect(phase(a)()).To(MatchRegexp(`Container: +aaaaaaaaaaaa`))
		for _, i := range []*instance{a, b} {
			code, text := i.command("probe")
			Expect(code).To(BeZero(), text)
		}

		By("the end of the older one")
		b.ready()
		Eventually(phase(a), patience, "50ms").Should(MatchRegexp(`Phase: +released`))
		Expect(a.cmd.Process.Signal(unix.SIGTERM)).To(Succeed())
		Eventually(a.done, patience).Should(BeClosed())
		Eventually(func() string { return b.status().Instance.Container }, patience, "50ms").Should(Equal("bbbbbbbbbbbb"), "the configured path is its own now")
		code, text = b.command("probe")
		Expect(code).To(BeZero(), text)
	})
})
