package hostile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
)

const apiKey = "0123456789abcdef-the-key-of-this-test"

// fakeSupervisor answers over HTTP as a Supervisor does, with the containers
// that it is given.
type fakeSupervisor struct {
	app    string
	server *httptest.Server

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

func newSupervisor(app string) *fakeSupervisor {
	s := &fakeSupervisor{app: app}
	s.server = httptest.NewServer(s)
	DeferCleanup(s.server.Close)
	return s
}

func (s *fakeSupervisor) url() string { return s.server.URL }

// list adds a container.
func (s *fakeSupervisor) list(id, status string, created time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = append(s.containers, listedContainer{
		Status: status, ServiceName: "main", AppID: s.app, ImageID: 501 + len(s.containers), ServiceID: 1,
		ContainerID: id, CreatedAt: created.UTC().Format("2006-01-02T15:04:05.000Z"),
	})
}

func (s *fakeSupervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	containers := slices.Clone(s.containers)
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+apiKey {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	slices.Reverse(containers)
	services := map[string]any{}
	for _, c := range containers {
		services[json.Number(jsonInt(c.ImageID)).String()] = map[string]any{"status": c.Status, "releaseId": c.ImageID + 500}
	}
	var body any
	switch r.URL.Path {
	case "/v2/state/status":
		body = map[string]any{"status": "success", "appState": "applying", "containers": containers, "images": []any{}, "release": "aaa"}
	case "/v2/applications/state":
		body = map[string]any{"app": map[string]any{"appId": json.Number(s.app), "commit": "bbb", "services": map[string]any{"main": map[string]any{"status": "Running", "releaseId": 1002}}}}
	default:
		body = map[string]any{"commit": "aaa", "local": map[string]any{s.app: map[string]any{"services": services}}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func jsonInt(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}
