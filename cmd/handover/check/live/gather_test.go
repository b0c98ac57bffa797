package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/controller/endpoint"
	"github.com/handover-controller/handover/peer"
)

// rig is a place to look at: folders of its own, and the network of lo.
type rig struct {
	dir     string
	environ []string
	get     func(ctx context.Context, path string) (io.ReadCloser, error)
	limit   time.Duration
}

func newRig() *rig {
	d := &rig{dir: GinkgoT().TempDir(), get: func(context.Context, string) (io.ReadCloser, error) { return nil, errNone }}
	d.set("BALENA_APP_ID="+app, "BALENA_SERVICE_NAME=main", "HANDOVER_SERVICE_CONTAINER_ID="+ownLong,
		"HANDOVER_SERVICE_STATE_DIR="+d.path("state"), "HANDOVER_ANNOUNCE_FOLDER="+d.dir,
		"BALENA_SERVICE_HANDOVER_COMPLETE_PATH="+d.path("handover-complete"), "HANDOVER_STATUS_SOCKET="+d.path("s"),
		"HANDOVER_NETWORK_MODE=host", "HANDOVER_NETWORK_INTERFACE=lo", fmt.Sprintf("HANDOVER_NETWORK_PORT=%d", 20000+rand.IntN(12000)))
	return d
}

// set puts variables before the others: the first one counts.
func (d *rig) set(environ ...string) { d.environ = append(environ, d.environ...) }

func (d *rig) path(name string) string { return filepath.Join(d.dir, name) }

func (d *rig) check(ctx context.Context) check.Report {
	GinkgoHelper()
	return Check(ctx, Options{Loaded: loaded(d.environ...), Version: "1.2.3", Get: d.get, limit: d.limit})
}

// serve answers on the status socket.
func (d *rig) serve(h http.HandlerFunc) {
	GinkgoHelper()
	l, err := net.Listen("unix", d.path("s"))
	Expect(err).NotTo(HaveOccurred())
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close()
	server.Listener = l
	server.Start()
	DeferCleanup(func() { server.CloseClientConnections(); server.Close() })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.path("s"))
	}}}
	d.get = func(ctx context.Context, path string) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://handover"+path, nil)
		if err != nil {
			return nil, err
		}
		answer, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		return answer.Body, nil
	}
}

func answering(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/status":
		_ = json.NewEncoder(w).Encode(serving())
	case "/metrics":
		fmt.Fprint(w, "# HELP x y\nhandover_stage_duration_seconds_sum{stage=\"starting\"} 2.5\n"+
			"handover_stage_duration_seconds_count{stage=\"starting\"} 1\nhandover_stage_duration_seconds_sum{stage=\"draining\"} 9\nhandover_unready_takeovers_total 0\n")
	}
}

// recorded is what a real Supervisor of that version said first at that path.
func recorded(version, path string) []byte {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("../../../../supervisor/testdata", version, "hand-over.jsonl"))
	Expect(err).NotTo(HaveOccurred())
	for line := range bytes.Lines(text) {
		var r struct {
			Get  string          `json:"get"`
			Body json.RawMessage `json:"body"`
		}
		Expect(json.Unmarshal(line, &r)).To(Succeed())
		if r.Get == path {
			return r.Body
		}
	}
	Fail("not recorded: " + path)
	return nil
}

// supervised gives the device a Supervisor of that version, which lists this
// container in the place of the recorded one.
func (d *rig) supervised(version string) {
	GinkgoHelper()
	view := recorded(version, "/v2/state/status")
	var list struct {
		Containers []struct {
			ContainerID string `json:"containerId"`
		} `json:"containers"`
	}
	Expect(json.Unmarshal(view, &list)).To(Succeed())
	view = bytes.ReplaceAll(view, []byte(list.Containers[0].ContainerID), []byte(ownLong))
	d.ask(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/ping":
			fmt.Fprint(w, "OK")
		case r.Header.Get("Authorization") != "Bearer "+secret:
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
		case r.URL.Path == "/v2/version":
			fmt.Fprintf(w, `{"status":"success","version":%q}`, version)
		case r.URL.Path == "/v2/state/status":
			_, _ = w.Write(view)
		default:
			http.NotFound(w, r)
		}
	})
}

// ask gives the device a Supervisor, and the key.
func (d *rig) ask(h http.HandlerFunc) {
	server := httptest.NewServer(h)
	DeferCleanup(func() { server.CloseClientConnections(); server.Close() })
	d.set("BALENA_SUPERVISOR_ADDRESS="+server.URL, "BALENA_SUPERVISOR_API_KEY="+secret)
}

var _ = Describe("A look at a device", func() {
	var d *rig
	BeforeEach(func() { d = newRig() })

	DescribeTable("finds what is there", func(ctx SpecContext, version, behaviour string) {
		d.supervised(version)
		d.serve(answering)
		r := d.check(ctx)
		expectOne(r, processInstance, check.OK, "on "+d.path("s")+": it is serving")
		expectOne(r, processInit, check.Warning, fmt.Sprintf("the instance is process %d", os.Getpid()))
		expectOne(r, networkMode, check.OK, "lo alone")
		expectOne(r, networkInterfaces, check.OK, "lo (127.0.0.1")
		expectOne(r, networkMulticast, check.OK, "came back")
		expectOne(r, folderAccess, check.OK, "can be written")
		expectOne(r, folderLock, check.OK, "can be locked")
		expectOne(r, folderWatch, check.OK, "are told")
		expectOne(r, supervisorReach, check.OK, "answers")
		expectOne(r, supervisorKey, check.OK, "accepts")
		expectOne(r, supervisorVersion, check.OK, "v"+version)
		expectOne(r, supervisorBehaviour, check.OK, behaviour)
		expectOne(r, supervisorContainers, check.OK, "as Running, and 1 container")
		expectOne(r, markerFolder, check.OK, "can be written")
		expectOne(r, graceReadiness, check.OK, "2.5s (this container)")
		expectOne(r, statusSocket, check.OK, d.path("s"))
	},
		Entry("with Supervisor 14.13.9", "14.13.9", "waits for the file", SpecTimeout(time.Minute)),
		Entry("with Supervisor 19.0.5", "19.0.5", "sends the old container SIGTERM", SpecTimeout(time.Minute)),
	)

	It("leaves everything as it was", func(ctx SpecContext) {
		Expect(os.WriteFile(d.path("handover-complete"), nil, 0o644)).To(Succeed())
		r := d.check(ctx)
		expectOne(r, identityRecord, check.OK, "can be written; handover run records the first start there")
		expectOne(r, markerStale, check.Note, "handover run removes it")
		expectOne(r, processInstance, check.Note, "no instance answers")
		expectOne(r, statusSocket, check.OK, "can be made")
		entries, err := os.ReadDir(d.dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1), "the marker: no state folder, no socket, no file of a test")
	}, SpecTimeout(time.Minute))

	It("reads the record of the first start, and changes nothing", func(ctx SpecContext) {
		first := peer.Identify(peer.IdentifyOptions{ContainerID: ownLong, StateDir: d.path("state")})
		path := d.path("state/" + string(own) + ".json")
		before, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		expectOne(d.check(ctx), identityRecord, check.OK, "is recorded in")
		Expect(os.ReadFile(path)).To(Equal(before))
		entries, err := os.ReadDir(d.path("state"))
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		again := peer.Identify(peer.IdentifyOptions{ContainerID: ownLong, StateDir: d.path("state")})
		Expect(again.FirstStart).To(Equal(first.FirstStart))
	}, SpecTimeout(time.Minute))

	It("tells a key that the Supervisor refuses", func(ctx SpecContext) {
		d.supervised("19.0.5")
		d.set("BALENA_SUPERVISOR_API_KEY=another")
		r := d.check(ctx)
		expectOne(r, supervisorReach, check.OK, "answers")
		expectOne(r, supervisorKey, check.Error, "401")
		expectOne(r, supervisorVersion, check.Note, "unauthorized")
		Expect(of(r, supervisorContainers)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("tells a Supervisor that is not there, and a folder that is none", func(ctx SpecContext) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		Expect(l.Close()).To(Succeed())
		Expect(os.WriteFile(d.path("file"), nil, 0o644)).To(Succeed())
		d.set("BALENA_SUPERVISOR_ADDRESS=http://"+l.Addr().String(), "HANDOVER_ANNOUNCE_FOLDER="+d.path("file"),
			"HANDOVER_SERVICE_STATE_DIR="+d.path("file/state"), "BALENA_SERVICE_HANDOVER_COMPLETE_PATH="+d.path("none/handover-complete"),
			"HANDOVER_NETWORK_INTERFACE=none0", "HANDOVER_POLICY_EXCLUSIVE=true")
		r := d.check(ctx)
		expectOne(r, supervisorReach, check.Error, "connection refused")
		expectOne(r, folderAccess, check.Warning, "not a directory")
		expectOne(r, identityRecord, check.Warning, "not a directory")
		expectOne(r, markerFolder, check.Warning, "there is no folder "+d.path("none"))
		expectOne(r, networkInterfaces, check.Error, "none0 (network.interface) is missing")
		expectOne(r, folderExclusive, check.Error, "no lock")
		Expect(of(r, networkMulticast)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("ends in time when nothing answers", func(ctx SpecContext) {
		Expect(defaultLimit + lateAfter).To(BeNumerically("<", 10*time.Second))
		hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		d.ask(hangs)
		d.serve(hangs)
		d.set("HANDOVER_SUPERVISOR_TIMEOUT=5m")
		d.limit = 2 * time.Second // the round trip below must come back meanwhile
		began := time.Now()
		r := d.check(ctx)
		Expect(time.Since(began)).To(BeNumerically("<", time.Minute))
		expectOne(r, supervisorReach, check.Error, "timeout")
		expectOne(r, processInstance, check.Error, "does not answer within")
		expectOne(r, networkMulticast, check.OK, "came back")
	}, SpecTimeout(2*time.Minute))

	It("does not wait for what hangs for ever", func(ctx SpecContext) {
		end := make(chan struct{})
		DeferCleanup(func() { close(end) })
		d.serve(answering)
		d.get = func(context.Context, string) (io.ReadCloser, error) { <-end; return nil, errNone }
		d.limit = time.Second // the others are done long before
		expectOne(d.check(ctx), processInstance, check.Warning, "did not answer in time")
	}, SpecTimeout(time.Minute))

	It("shows no secret, whatever the others say", func(ctx SpecContext) {
		const word = "the-word-that-signs"
		d.ask(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusInternalServerError)
		})
		d.set("HANDOVER_ANNOUNCE_SECRET=" + word)
		r := d.check(ctx)
		expectOne(r, supervisorContainers, check.Warning, "server")
		var text, doc strings.Builder
		Expect(r.WriteText(&text, func(_ check.Level, s string) string { return s })).To(Succeed())
		Expect(r.WriteJSON(&doc)).To(Succeed())
		for _, out := range []string{text.String(), doc.String()} {
			Expect(out).NotTo(ContainSubstring(secret))
			Expect(out).NotTo(ContainSubstring(word))
		}
	}, SpecTimeout(time.Minute))
})

var _ = Describe("An address for the status", func() {
	look := func(ctx context.Context, listen string) *addresses {
		return lookAtAddresses(ctx, &config.Config{Status: config.Status{Listen: listen}})
	}

	It("is the instance's that serves there", func(ctx SpecContext) {
		server := httptest.NewServer(http.HandlerFunc(answering))
		DeferCleanup(server.Close)
		Expect(look(ctx, server.Listener.Addr().String()).server).To(Equal("0011"))
	}, SpecTimeout(time.Minute))

	It("is taken by another program, or free", func(ctx SpecContext) {
		server := httptest.NewServer(http.NotFoundHandler())
		address := server.Listener.Addr().String()
		a := look(ctx, address)
		Expect(*a).To(Equal(addresses{taken: true}))
		server.Close()
		Expect(*look(ctx, address)).To(Equal(addresses{}))
	}, SpecTimeout(time.Minute))

	It("may be none", func(ctx SpecContext) {
		Expect(look(ctx, "8080").listen).To(MatchError(ContainSubstring("missing port")))
	})

	It("of the socket is where a socket can be", func() {
		dir := GinkgoT().TempDir()
		at := func(path ...string) endpoint.Socket {
			return endpoint.Socket{Path: filepath.Join(append([]string{dir}, path...)...), Container: ownLong[:12]}
		}
		Expect(placeFor(at("s"))).To(Equal(filepath.Join(dir, "s")))
		path, why := placeFor(at("none", "s-of-check"))
		Expect(path).To(Equal("/dev/shm/s-of-check"))
		Expect(why).To(MatchError(ContainSubstring("cannot be written")))
		Expect(os.WriteFile(filepath.Join(dir, "s"), nil, 0o644)).To(Succeed())
		path, why = placeFor(at("s"))
		Expect(path).To(Equal(filepath.Join(dir, "s-"+ownLong[:12])))
		Expect(why).To(MatchError(ContainSubstring("is no socket")))
		Expect(os.ReadDir(dir)).To(HaveLen(1))
	})
})

var _ = Describe("A configuration that cannot be used", func() {
	It("is one error for each problem, with its place, and without secrets", func() {
		file := "policy:\n  settle: 5\n  setle: 5s\nsupervisor:\n  api_key: [" + secret + "]\n"
		_, err := config.Load(config.Options{
			Path: "/x/handover.yaml", Environ: []string{"HANDOVER_NETWORK_PORT=99999", "HANDOVER_NETWRK_PORT=1"},
			Open: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(file)), nil },
		})
		var bad *config.Error
		Expect(errors.As(err, &bad)).To(BeTrue())
		r := Problems(bad)
		Expect(r.Count(check.Error)).To(Equal(4))
		Expect(r.Count(check.Warning)).To(Equal(1))
		Expect(r[0].Where()).To(Equal("/x/handover.yaml:2"))
		Expect(r[0].Found).To(Equal(`policy.settle: "5" has no unit`))
		Expect(r[0].Do).To(ContainSubstring("allowed: a duration"))
		Expect(r[1].Where()).To(Equal("/x/handover.yaml:3"))
		Expect(r[1].Do).To(ContainSubstring("policy.settle"))
		Expect(r[2].Where()).To(Equal("/x/handover.yaml:5"))
		Expect(r[3].Found).To(HavePrefix(`HANDOVER_NETWORK_PORT: network.port: "99999"`))
		for _, f := range r {
			Expect(f.Do).NotTo(BeEmpty())
			Expect(f.Why).NotTo(BeEmpty())
		}
		var text strings.Builder
		Expect(r.WriteJSON(&text)).To(Succeed())
		Expect(text.String()).NotTo(ContainSubstring(secret))
	})
})
