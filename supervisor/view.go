package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Container is one container of the device, as the Supervisor lists it. A field
// that the answer does not have, or has in a form that is not understood, is
// zero; the container is listed all the same.
type Container struct {
	// ID is the container's id in lower-case hexadecimal digits (64 on every
	// Supervisor known), empty if missing.
	ID string
	// Service is the service's name in the compose file.
	Service string
	// AppID is the app's id as text, as in BALENA_APP_ID.
	AppID     string
	ServiceID int64
	// ImageID is the id by which Releases knows the image's release.
	ImageID int64
	Status  Status
	// CreatedAt is the Docker engine's time of creation, by the device's clock
	// at that time.
	CreatedAt time.Time
}

// View is one answer of GET /v2/state/status, normalised. The Supervisor has
// that endpoint from v9.7.0 on.
type View struct {
	// RequestedAt and ReceivedAt are local times around the request. Age is
	// counted from RequestedAt: nothing in the answer is older than that.
	RequestedAt, ReceivedAt time.Time
	// AppState is "applied", or "applying" while the Supervisor works towards
	// its target; empty if missing.
	AppState string
	// Commit is the release's commit that the Supervisor regards as current:
	// that of the old one until some seconds after it is gone. Empty if missing.
	Commit string
	// Containers are those that the key may see, in the Supervisor's order
	// (newest first on 14.13.9 and 19.0.5). Of several apps v9 lists all, and
	// v14 the first one only (read in their source); a service's own key sees
	// its own app.
	Containers []Container
}

// View asks for the containers of the device: GET /v2/state/status. The
// Supervisor inspects every container for it, so ask at most once a second, and
// only while a hand-over is possible. Errors are of type *[Error]; a successful
// View always comes from a complete answer that has a list of containers.
func (c *Client) View(ctx context.Context) (View, error) {
	a, err := c.get(ctx, opView, "/v2/state/status")
	if err != nil {
		return View{}, err
	}
	v, err := decodeView(a.body)
	if err != nil {
		return View{}, c.malformed(opView, a.body, err)
	}
	v.RequestedAt, v.ReceivedAt = a.requested, a.received
	return v, nil
}

// Age is how old the view is at most: the time since it was asked for.
func (v *View) Age(now time.Time) time.Duration { return now.Sub(v.RequestedAt) }

// Find returns the container with this id, of which the first 12 to 64
// hexadecimal digits must be given, in whatever case.
func (v *View) Find(id string) (Container, bool) {
	id = containerID(id)
	if id == "" {
		return Container{}, false
	}
	for _, c := range v.Containers {
		// Either may be the shorter one; none that is known has fewer than 12.
		if c.ID != "" && (strings.HasPrefix(c.ID, id) || strings.HasPrefix(id, c.ID)) {
			return c, true
		}
	}
	return Container{}, false
}

// Of returns the containers of one service, newest first: by CreatedAt, then by
// the greater id. A container of which the answer names no app or no service is
// among those of every service: it may be of this one, and leaving it out could
// pass for "there is no successor". Its AppID or Service is empty.
func (v *View) Of(appID, service string) []Container {
	fits := func(a, b string) bool { return a == b || a == "" || b == "" }
	var of []Container
	for _, c := range v.Containers {
		if fits(c.AppID, appID) && fits(c.Service, service) {
			of = append(of, c)
		}
	}
	slices.SortStableFunc(of, func(a, b Container) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return of
}

type viewBody struct {
	Status     json.RawMessage  `json:"status"`
	Message    looseText        `json:"message"`
	AppState   looseText        `json:"appState"`
	Release    looseText        `json:"release"`
	Containers *[]containerBody `json:"containers"`
}

type containerBody struct {
	Status      looseText `json:"status"`
	ServiceName looseText `json:"serviceName"`
	AppID       looseText `json:"appId"`
	ImageID     looseInt  `json:"imageId"`
	ServiceID   looseInt  `json:"serviceId"`
	ContainerID looseText `json:"containerId"`
	CreatedAt   looseText `json:"createdAt"`
}

// UnmarshalJSON refuses what is not an object. Such an entry says nothing, not
// even that there is a container, so the list as a whole is not understood.
func (b *containerBody) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return errors.New(`an entry of "containers" is not an object`)
	}
	type plain containerBody
	return json.Unmarshal(data, (*plain)(b))
}

func decodeView(body []byte) (View, error) {
	var b viewBody
	if err := json.Unmarshal(body, &b); err != nil {
		return View{}, fmt.Errorf("the answer is not a list of containers: %w", err)
	}
	if err := outcome(b.Status, b.Message); err != nil {
		return View{}, err
	}
	if b.Containers == nil {
		return View{}, errors.New(`the answer has no array "containers"`)
	}
	v := View{
		AppState:   string(b.AppState),
		Commit:     string(b.Release),
		Containers: make([]Container, 0, len(*b.Containers)),
	}
	for _, each := range *b.Containers {
		v.Containers = append(v.Containers, Container{
			ID:        containerID(string(each.ContainerID)),
			Service:   string(each.ServiceName),
			AppID:     string(each.AppID),
			ServiceID: int64(each.ServiceID),
			ImageID:   int64(each.ImageID),
			Status:    Status(each.Status),
			CreatedAt: timestamp(string(each.CreatedAt)),
		})
	}
	return v, nil
}

// containerID returns 12 to 64 hexadecimal digits in lower case, or nothing.
func containerID(id string) string {
	const shortest, longest = 12, 64
	if len(id) < shortest || len(id) > longest {
		return ""
	}
	id = strings.ToLower(id)
	if strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// timestamp reads what JavaScript and Docker write, ISO 8601 in UTC with
// fractions of a second.
func timestamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
