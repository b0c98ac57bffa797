package interop_test

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
)

const (
	apiKey            = "0123456789abcdef-the-key-of-this-test"
	supervisorAddress = "127.0.0.1:48484"
)

// fakeSupervisor answers over HTTP as a Supervisor does, with the containers
// that it is given.
type fakeSupervisor struct {
	server *http.Server
	delay  time.Duration // of every answer; set before anybody asks

	mu         sync.Mutex
	containers []listedContainer
}

type listedContainer struct {
	Status      string `json:"status"`
	ServiceName string `json:"serviceName"`
	AppID       string `json:"appId"`
	ImageID     int    `json:"imageId"`
	ServiceID   int    `json:"serviceId"`
	ContainerID string `json:"containerId"`
	CreatedAt   string `json:"createdAt"`
}

func newSupervisor() *fakeSupervisor {
	s := &fakeSupervisor{}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: patience}
	DeferCleanup(s.server.Close)
	return s
}

// listenIn makes it answer on the loopback of a namespace.
func (s *fakeSupervisor) listenIn(n namespace) {
	GinkgoHelper()
	s.listenOn(n, supervisorAddress)
}

func (s *fakeSupervisor) listenOn(n namespace, address string) {
	GinkgoHelper()
	n.do(func() error {
		listener, err := net.Listen("tcp4", address)
		if err == nil {
			go func() { _ = s.server.Serve(listener) }()
		}
		return err
	})
}

// list adds a container.
func (s *fakeSupervisor) list(id, service, status string, created time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = append(s.containers, listedContainer{
		Status: status, ServiceName: service, AppID: appID, ImageID: 501 + len(s.containers), ServiceID: 1,
		ContainerID: id, CreatedAt: created.UTC().Format("2006-01-02T15:04:05.000Z"),
	})
}

// set changes a container's status.
func (s *fakeSupervisor) set(id, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.containers {
		if s.containers[i].ContainerID == id {
			s.containers[i].Status = status
		}
	}
}

func (s *fakeSupervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.delay) // what a Supervisor takes that asks Docker
	s.mu.Lock()
	containers := slices.Clone(s.containers)
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+apiKey {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	var body any
	switch r.URL.Path {
	case "/v2/state/status":
		body = map[string]any{"status": "success", "appState": "applying", "containers": containers, "images": []any{}, "release": "aaa"}
	case "/v2/applications/state":
		body = map[string]any{"app": map[string]any{"appId": json.Number(appID), "commit": "bbb", "services": map[string]any{}}}
	default:
		body = map[string]any{"commit": "aaa", "local": map[string]any{appID: map[string]any{"services": map[string]any{}}}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
