package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Target is what the Supervisor wants a service to become, from GET
// /v2/applications/state (v7.12 on). It is for showing and explaining, not for
// deciding. The zero Target means that the target has no such service, as it is
// for some 50 ms after a new target was set.
type Target struct {
	// ReleaseID is the target release's id, 0 if missing. Supervisors before
	// v14.11.7 may give that of another release whose image is on the device.
	ReleaseID int64
	// Commit is the target release's commit. It is the new one at once.
	Commit string
	// Status is how far the service is on its way: Downloading, Downloaded,
	// Installing, Installed, Starting, then, while the old container is there,
	// Awaiting handover (from v17.7.0 on; Running before), then Running. On
	// 14.13.9, when a container is re-created for the same release, it can be
	// the old container's.
	Status Status
	// UpdateStatus is "downloading", "downloaded", "applying changes", "done",
	// as of 19.0.5; empty on 14.13.9.
	UpdateStatus string
}

// Target asks what is to become of one service: GET /v2/applications/state.
// Errors are of type *[Error]; an app or a service that the target does not
// have is no error, but the zero Target.
func (c *Client) Target(ctx context.Context, appID, service string) (Target, error) {
	a, err := c.get(ctx, opTarget, "/v2/applications/state")
	if err != nil {
		return Target{}, err
	}
	t, err := decodeTarget(a.body, appID, service)
	if err != nil {
		return Target{}, c.malformed(opTarget, a.body, err)
	}
	return t, nil
}

// targetApp is one app; the answer has them by their names.
type targetApp struct {
	Commit       looseText `json:"commit"`
	UpdateStatus looseText `json:"updateStatus"`
	Services     map[string]struct {
		Status    looseText `json:"status"`
		ReleaseID looseInt  `json:"releaseId"`
	} `json:"services"`
}

func decodeTarget(body []byte, appID, service string) (Target, error) {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(body, &entries); err != nil {
		return Target{}, fmt.Errorf("the answer is not a list of apps: %w", err)
	}
	if entries == nil {
		return Target{}, errors.New("the answer is null, not a list of apps")
	}
	raw, err := findApp(entries, appID)
	if err != nil || raw == nil {
		return Target{}, err
	}
	var app targetApp
	if err := json.Unmarshal(raw, &app); err != nil {
		return Target{}, fmt.Errorf("the answer's app is not understood: %w", err)
	}
	wanted, ok := app.Services[service]
	if !ok {
		return Target{}, nil
	}
	return Target{
		ReleaseID:    int64(wanted.ReleaseID),
		Commit:       string(app.Commit),
		Status:       Status(wanted.Status),
		UpdateStatus: string(app.UpdateStatus),
	}, nil
}

// findApp returns the entry of the app, or nil if there is none among other
// apps. Entries that are no apps are an error if there are no others.
func findApp(entries map[string]json.RawMessage, appID string) (json.RawMessage, error) {
	apps := 0
	for _, raw := range entries {
		var app struct {
			AppID looseText `json:"appId"`
		}
		if raw[0] != '{' || json.Unmarshal(raw, &app) != nil || app.AppID == "" {
			continue
		}
		if string(app.AppID) == appID {
			return raw, nil
		}
		apps++
	}
	if apps > 0 || len(entries) == 0 {
		return nil, nil
	}
	var message looseText
	if raw, ok := entries["message"]; ok {
		_ = message.UnmarshalJSON(raw)
	}
	if err := outcome(entries["status"], message); err != nil {
		return nil, err
	}
	return nil, errors.New("the answer has no app")
}
