package docker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var services atomic.Int64

// device is a service on a device, for one spec: the folder that its containers
// share, what the engine does with them, and how the Supervisor lists them.
type device struct {
	journal
	// Service is its name, which the engine's DNS knows on the suite's network.
	Service string
	// Folder is a volume, which is a folder on the engine's machine.
	Folder string

	mu         sync.Mutex
	containers []listed
}

// listed is a container in the Supervisor's list.
type listed struct {
	Status      string `json:"status"`
	ServiceName string `json:"serviceName"`
	AppID       int    `json:"appId"`
	ImageID     int    `json:"imageId"`
	ServiceID   int    `json:"serviceId"`
	ContainerID string `json:"containerId"`
	CreatedAt   string `json:"createdAt"`
}

func newDevice() *device {
	GinkgoHelper()
	d := &device{Service: fmt.Sprintf("main-%d-%d", GinkgoParallelProcess(), services.Add(1))}
	d.Folder = kit.Network + "-" + d.Service
	docker("volume", "create", "--label", runLabel+"="+kit.Run, d.Folder)
	d.follow(d.Service, d.note)
	return d
}

// note keeps the Supervisor's list, as Supervisors do: a container that the
// engine was asked to stop is Stopping, and one that the engine starts again is
// Running all the time.
func (d *device) note(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.IndexFunc(d.containers, func(c listed) bool { return c.ContainerID == e.Actor.ID })
	if e.Action == "create" && at < 0 {
		d.containers = slices.Insert(d.containers, 0, listed{ // newest first
			Status: "Installed", ServiceName: d.Service, AppID: 1234, ImageID: 501 + len(d.containers), ServiceID: 1,
			ContainerID: e.Actor.ID, CreatedAt: e.time().UTC().Format("2006-01-02T15:04:05.000Z"),
		})
	} else if at < 0 {
		return
	}
	switch e.Action {
	case "start":
		d.containers[at].Status = "Running"
	case "kill":
		d.containers[at].Status = "Stopping"
	case "die":
		if d.containers[at].Status == "Stopping" {
			d.containers[at].Status = "exited"
		}
	case "destroy":
		d.containers = slices.Delete(d.containers, at, at+1)
	}
	order("containers", d.containers)
}

// environment is what a recorded Supervisor gave a container, with this
// device's values.
func (d *device) environment() []string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "supervisor", "testdata", "19.0.5", "container.json"))
	Expect(err).NotTo(HaveOccurred())
	var recorded []struct{ Env []string }
	Expect(json.Unmarshal(text, &recorded)).To(Succeed())
	own := map[string]string{"SERVICE_NAME": d.Service, "SUPERVISOR_API_KEY": apiKey, "SUPERVISOR_ADDRESS": outside.Supervisor}
	var all []string
	for _, variable := range recorded[0].Env {
		name, _, _ := strings.Cut(variable, "=")
		for _, brand := range []string{"BALENA_", "RESIN_"} {
			if value, ok := own[strings.TrimPrefix(name, brand)]; ok && strings.HasPrefix(name, brand) {
				variable = name + "=" + value
			}
		}
		all = append(all, variable)
	}
	Expect(all).To(ContainElement("BALENA_SUPERVISOR_ADDRESS=" + outside.Supervisor))
	return all
}
