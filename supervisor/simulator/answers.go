package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"
)

// This file builds the bodies of the API's answers. The callers hold the lock.

// serviceStatus is what the Supervisor knows of one container, or of one that
// it is about to create.
type serviceStatus struct {
	release Release
	status  string
	created time.Time
	beside  bool // it is of the other service
}

// everything are the service's containers, and that of the other service.
func (s *Simulator) everything() []*container {
	if s.beside == nil {
		return s.containers
	}
	return append([]*container{s.beside}, s.containers...)
}

// service is the name of the service that a container is of.
func (c *container) service() string {
	if c == c.s.beside {
		return c.s.o.Beside
	}
	return c.s.o.Service
}

// reported is the status of a container.
func (c *container) reported() string {
	switch {
	case c.status != "":
		return c.status
	case c.state == stateCreated:
		return "Installed"
	case c.state == stateExited:
		return "exited"
	}
	return "Running"
}

// services are the Supervisor's own notes first, then the engine's containers,
// the newest first (read in its source, and seen in the order of what it
// reports).
func (s *Simulator) services() []serviceStatus {
	var noted, plain []serviceStatus
	if s.installing != nil {
		noted = append(noted, serviceStatus{release: *s.installing, status: "Installing"})
	}
	for _, c := range slices.Backward(s.everything()) {
		each := serviceStatus{release: c.release, status: c.reported(), created: c.createdAt, beside: c == s.beside}
		if c.status != "" {
			noted = append(noted, each)
		} else {
			plain = append(plain, each)
		}
	}
	return append(noted, plain...)
}

type viewAnswer struct {
	Status     string            `json:"status"`
	AppState   string            `json:"appState"`
	Progress   *int              `json:"overallDownloadProgress"`
	Containers []containerAnswer `json:"containers"`
	Images     []imageAnswer     `json:"images"`
	Release    *string           `json:"release,omitempty"`
}

type containerAnswer struct {
	Status      string `json:"status"`
	ServiceName string `json:"serviceName"`
	AppID       int64  `json:"appId"`
	ImageID     int64  `json:"imageId"`
	ServiceID   int64  `json:"serviceId"`
	ContainerID string `json:"containerId"`
	CreatedAt   string `json:"createdAt"`
}

type imageAnswer struct {
	Name        string `json:"name"`
	AppID       int64  `json:"appId"`
	ServiceName string `json:"serviceName"`
	ImageID     int64  `json:"imageId"`
	Status      string `json:"status"`
	Progress    *int   `json:"downloadProgress"`
}

// viewBody is /v2/state/status: the containers, newest first.
func (s *Simulator) viewBody() any {
	v := viewAnswer{Status: "success", AppState: "applied", Containers: []containerAnswer{}, Images: []imageAnswer{}}
	if s.applying {
		v.AppState = "applying"
	}
	if s.commit != "" {
		v.Release = &s.commit
	}
	newest := slices.Clone(s.everything())
	sort.SliceStable(newest, func(i, j int) bool { return newest[i].createdAt.After(newest[j].createdAt) })
	for _, c := range newest {
		id := int64(1)
		if c == s.beside {
			id = 2
		}
		v.Containers = append(v.Containers, containerAnswer{
			Status: c.reported(), ServiceName: c.service(), AppID: s.o.AppID, ImageID: c.release.ImageID, ServiceID: id,
			ContainerID: c.id, CreatedAt: c.createdAt.UTC().Format("2006-01-02T15:04:05.000Z"),
		})
	}
	if s.beside != nil {
		v.Images = append(v.Images, imageAnswer{
			Name: s.beside.release.Image, AppID: s.o.AppID, ServiceName: s.o.Beside, ImageID: besideImage, Status: "Downloaded",
		})
	}
	for _, i := range s.downloaded() {
		v.Images = append(v.Images, imageAnswer{
			Name: i.release.Image, AppID: s.o.AppID, ServiceName: s.o.Service, ImageID: i.release.ImageID, Status: i.status,
			Progress: i.progress(),
		})
	}
	return v
}

// downloaded are the images that are there. One that is being downloaded is
// shown by nothing but newer versions' /v2/applications/state.
func (s *Simulator) downloaded() []*image {
	return slices.DeleteFunc(slices.Clone(s.images), func(i *image) bool { return i.status == "Downloading" })
}

// progress is 0 while an image is being downloaded, else null.
func (i *image) progress() *int {
	if i.status != "Downloading" {
		return nil
	}
	return new(int)
}

type targetAnswer struct {
	AppID    int64                    `json:"appId"`
	AppUUID  string                   `json:"appUuid,omitempty"`
	Commit   string                   `json:"commit"`
	Update   string                   `json:"updateStatus,omitempty"`
	Services map[string]targetService `json:"services"`
}

type targetService struct {
	Status    string `json:"status"`
	Image     string `json:"image,omitempty"`
	ReleaseID int64  `json:"releaseId"`
	Progress  *int   `json:"downloadProgress"`
}

// targetBody is /v2/applications/state: what is to be.
func (s *Simulator) targetBody() any {
	if s.target == nil {
		return map[string]any{}
	}
	a := targetAnswer{AppID: s.o.AppID, Commit: s.target.Commit, Services: map[string]targetService{}}
	if i := s.targetImage(); i != nil {
		status := s.targetStatus(i)
		a.Services[s.o.Service] = targetService{Status: status, ReleaseID: i.release.ID, Progress: i.progress()}
	}
	if s.beside != nil {
		status := "Downloaded" // its image
		if s.beside.release.ID == s.target.ID {
			status = "Running"
		}
		a.Services[s.o.Beside] = targetService{Status: status, ReleaseID: s.target.ID}
	}
	if s.o.Version.updateStatus {
		a.AppUUID, a.Update = appUUID, s.updateStatus(a.Services)
		for name, t := range a.Services {
			t.Image = s.target.Image
			if name != s.o.Service {
				t.Image = s.beside.release.Image
			}
			a.Services[name] = t
		}
	}
	return map[string]any{appName: a}
}

// targetImage is the image that the answer is about.
func (s *Simulator) targetImage() *image {
	images := s.downloaded()
	if s.o.Version.targetOfAnyRelease {
		if len(images) == 0 {
			return nil
		}
		return images[len(images)-1]
	}
	if s.o.Version.updateStatus {
		images = s.images
	}
	for _, i := range images {
		if i.release.ImageID == s.target.ImageID {
			// The image may have come with another release.
			return &image{release: *s.target, status: i.status}
		}
	}
	return nil
}

// targetStatus is the status of the service of which this is the image.
func (s *Simulator) targetStatus(i *image) string {
	all := s.services()
	if s.o.Version.updateStatus { // a container that runs hides what else there is
		sort.SliceStable(all, func(i, j int) bool { return rank(all[i].status) < rank(all[j].status) })
	}
	at := slices.IndexFunc(all, func(e serviceStatus) bool {
		return e.release.ImageID == i.release.ImageID && (e.release.ID == i.release.ID || s.o.Version.targetOfAnyRelease)
	})
	if at < 0 {
		return i.status
	}
	own := all[at]
	if s.o.Version.awaiting && own.status == "Running" && slices.ContainsFunc(all, func(e serviceStatus) bool {
		return !e.beside && e.release.ID != own.release.ID && e.status == "Running"
	}) {
		return "Awaiting handover"
	}
	return own.status
}

func rank(status string) int {
	if status == "Running" {
		return 0
	}
	return 1
}

// updateStatus says in a word where the services of the target are. A container
// that is being made counts, also where one that runs hides it.
func (s *Simulator) updateStatus(services map[string]targetService) string {
	is := map[string]bool{}
	for _, t := range services {
		is[t.Status] = true
	}
	for _, e := range s.services() {
		if e.release.ID == s.target.ID {
			is[e.status] = true
		}
	}
	switch {
	case is["Downloading"]:
		return "downloading"
	case is["Downloaded"]:
		return "downloaded"
	case is["Installing"], is["Installed"], is["Starting"], is["Awaiting handover"]:
		return "applying changes"
	}
	return "done"
}

type releasesAnswer struct {
	Commit string                         `json:"commit,omitempty"`
	Local  map[string]releasesAnswerLocal `json:"local"`
}

type releasesAnswerLocal struct {
	Services map[string]releaseStatus `json:"services"`
}

type releaseStatus struct {
	Status    string `json:"status"`
	ReleaseID int64  `json:"releaseId"`
	Progress  *int   `json:"download_progress"`
}

// releasesBody is /v2/applications/:appId/state, by image id. Two entries with
// one image id are a hand-over to it.
func (s *Simulator) releasesBody() any {
	by := map[string]releaseStatus{}
	for _, e := range s.services() {
		id := strconv.FormatInt(e.release.ImageID, 10)
		if _, twice := by[id]; twice {
			by[id] = releaseStatus{Status: "Handing over", ReleaseID: max(by[id].ReleaseID, e.release.ID)}
			continue
		}
		by[id] = releaseStatus{Status: e.status, ReleaseID: e.release.ID}
	}
	for _, i := range s.downloaded() {
		id := strconv.FormatInt(i.release.ImageID, 10)
		if _, known := by[id]; !known {
			by[id] = releaseStatus{Status: i.status, ReleaseID: i.release.ID, Progress: i.progress()}
		}
	}
	return releasesAnswer{
		Commit: s.commit,
		Local:  map[string]releasesAnswerLocal{strconv.FormatInt(s.o.AppID, 10): {Services: by}},
	}
}

// containerID is /v2/containerId: one container, the oldest.
func (s *Simulator) containerID(service string) answer {
	if service != "" {
		if s.beside != nil && service == s.o.Beside {
			return success("containerId", s.beside.id)
		}
		if service != s.o.Service || len(s.containers) == 0 {
			return failed(http.StatusServiceUnavailable, "Could not find service with that name")
		}
		return success("containerId", s.containers[0].id)
	}
	ids := map[string]string{}
	if len(s.containers) > 0 {
		ids[s.o.Service] = s.containers[0].id
	}
	if s.beside != nil {
		ids[s.o.Beside] = s.beside.id
	}
	return object(http.StatusOK, map[string]any{"status": "success", "services": ids})
}

// appBody is /v1/apps/:appId.
func (s *Simulator) appBody() (int, any) {
	if len(s.everything()) != 1 {
		return 400, "Some v1 endpoints are only allowed on single-container apps"
	}
	c := s.containers[0]
	return 200, map[string]any{
		"appId": s.o.AppID, "commit": s.commit, "imageId": c.release.Image, "containerId": c.id, "env": map[string]string{},
		"releaseId": c.release.ID,
	}
}

// environ is what a container of a real Supervisor finds in its environment.
func (s *Simulator) environ(c *container) []string {
	host, port := "", ""
	if u, err := url.Parse(s.o.Address); err == nil {
		host, port = u.Hostname(), u.Port()
	}
	env := []string{"BALENA=1", "RESIN=1", "USER=root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, each := range []struct{ name, value string }{
		{"DEVICE_NAME_AT_INIT", deviceName},
		{"APP_ID", strconv.FormatInt(s.o.AppID, 10)},
		{"APP_UUID", appUUID},
		{"APP_NAME", appName},
		{"SERVICE_NAME", s.o.Service},
		{"DEVICE_UUID", deviceUUID},
		{"DEVICE_TYPE", "generic-amd64"},
		{"DEVICE_ARCH", "amd64"},
		{"HOST_OS_VERSION", "balenaOS 6.1.0"},
		{"APP_LOCK_PATH", "/tmp/balena/updates.lock"},
		{"SUPERVISOR_API_KEY", c.key},
		{"SUPERVISOR_PORT", port},
		{"SUPERVISOR_HOST", host},
		{"SUPERVISOR_ADDRESS", s.o.Address},
	} {
		env = append(env, "RESIN_"+each.name+"="+each.value, "BALENA_"+each.name+"="+each.value)
	}
	env = append(env, "RESIN_SERVICE_KILL_ME_PATH=/tmp/balena/handover-complete", "BALENA_SERVICE_HANDOVER_COMPLETE_PATH=/tmp/balena/handover-complete")
	return append(env, c.release.Env...)
}

const (
	appName = "simulated"
	appUUID = "0123456789abcdef0123456789abcdef"

	deviceName = "rig-device"
	deviceUUID = "a7feb967fac7f559ccf2a006a36bcf5d"
)

func encode(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // only what is built above
	}
	return text
}
