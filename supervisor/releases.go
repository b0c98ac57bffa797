package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Releases is one answer of GET /v2/applications/:appId/state, normalised. It
// tells which release a container's image belongs to. It is for showing and
// explaining, not for deciding: release ids say nothing about who is younger.
type Releases struct {
	// RequestedAt and ReceivedAt are local times around the request.
	RequestedAt, ReceivedAt time.Time
	// Commit is the release's commit that the Supervisor regards as current,
	// empty if missing.
	Commit string
	// ByImage has the images of the app that the Supervisor knows, downloaded
	// ones included, by Container.ImageID. It is not nil.
	ByImage map[int64]ImageRelease
}

// ImageRelease is what Releases says of one image.
type ImageRelease struct {
	// ReleaseID is 0 if missing. While two containers share an image, it is
	// that of the older one.
	ReleaseID int64
	// Status is the container's, or the image's where there is none. Where two
	// containers share an image it is Handing over, also while the second one
	// is being created: on 19.0.5 that was seen 230 ms before it was started.
	Status Status
}

// Releases asks for the releases of one app: GET /v2/applications/:appId/state.
// Errors are of type *[Error]; an app that the Supervisor does not know is
// [KindNotFound].
func (c *Client) Releases(ctx context.Context, appID string) (Releases, error) {
	if appID == "" {
		return Releases{}, c.fail(opReleases, 0, KindNotFound, errors.New("the app id is empty"))
	}
	a, err := c.get(ctx, opReleases, "/v2/applications/"+url.PathEscape(appID)+"/state")
	if err != nil {
		return Releases{}, err
	}
	r, err := decodeReleases(a.body, appID)
	switch {
	case errors.Is(err, errNoApp):
		return Releases{}, c.fail(opReleases, http.StatusOK, KindNotFound, err)
	case err != nil:
		return Releases{}, c.malformed(opReleases, a.body, err)
	}
	r.RequestedAt, r.ReceivedAt = a.requested, a.received
	return r, nil
}

// errNoApp: old Supervisors answer with all apps that they have, whatever is
// asked for (read in the source of v9), where newer ones answer 409.
var errNoApp = errors.New("the answer does not have this app")

type releasesBody struct {
	Status  json.RawMessage            `json:"status"`
	Message looseText                  `json:"message"`
	Commit  looseText                  `json:"commit"`
	Local   map[string]json.RawMessage `json:"local"`
}

// releasesApp is one app; "local" has them by their ids.
type releasesApp struct {
	Services map[string]struct {
		Status    looseText `json:"status"`
		ReleaseID looseInt  `json:"releaseId"`
	} `json:"services"`
}

func decodeReleases(body []byte, appID string) (Releases, error) {
	var b releasesBody
	if err := json.Unmarshal(body, &b); err != nil {
		return Releases{}, fmt.Errorf("the answer is not a list of releases: %w", err)
	}
	if err := outcome(b.Status, b.Message); err != nil {
		return Releases{}, err
	}
	if b.Local == nil {
		return Releases{}, errors.New(`the answer has no object "local"`)
	}
	raw, ok := b.Local[appID]
	if !ok {
		return Releases{}, errNoApp
	}
	var app releasesApp
	if err := json.Unmarshal(raw, &app); err != nil {
		return Releases{}, fmt.Errorf("the answer's app is not understood: %w", err)
	}
	r := Releases{Commit: string(b.Commit), ByImage: make(map[int64]ImageRelease, len(app.Services))}
	for image, service := range app.Services {
		if id, ok := integer(image); ok {
			r.ByImage[id] = ImageRelease{ReleaseID: int64(service.ReleaseID), Status: Status(service.Status)}
		}
	}
	return r, nil
}
