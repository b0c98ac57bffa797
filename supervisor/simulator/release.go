package simulator

import (
	"fmt"
	"slices"
	"time"
)

// DefaultStopGracePeriod is Docker's, from SIGTERM to SIGKILL.
const DefaultStopGracePeriod = 10 * time.Second

// DefaultHandoverTimeout is how long a Supervisor that waits does so without
// io.balena.update.handover-timeout, or with one that is not positive.
const DefaultHandoverTimeout = time.Minute

// Release is a release of the service, as a target state has it.
type Release struct {
	// ID is the release's id, ImageID that of its image.
	ID, ImageID int64
	// Commit identifies the release in the API's answers.
	Commit string
	// Image is the image's name.
	Image string
	// Env is the service's own environment. A release that differs in nothing
	// else is the same release with a changed variable.
	Env []string
	// StopGracePeriod is stop_grace_period of the compose file; 0 is Docker's
	// 10 s. What counts is the value with which the container was created.
	StopGracePeriod time.Duration
	// HandoverTimeout is the label io.balena.update.handover-timeout; 0 is
	// one minute. That of the new release counts.
	HandoverTimeout time.Duration
	// HostNetwork is network_mode: host.
	HostNetwork bool
	// NoRestart is restart: "no"; else it is "always", whatever the Supervisor
	// asks for.
	NoRestart bool
	// PublishedPorts: it has ports:, so that two containers of it cannot run at
	// once.
	PublishedPorts bool
	// KillFirst is another update strategy than hand-over: the old container is
	// stopped before the new one is created.
	KillFirst bool
}

// containerName is how the Supervisor names a container.
func (r *Release) containerName(service string) string {
	return fmt.Sprintf("%s_%d_%d_%s", service, r.ImageID, r.ID, r.Commit)
}

// sameContainer tells whether a container of one release is right for the other
// but for its name: it is renamed, not replaced.
func (r *Release) sameContainer(o *Release) bool {
	return r.Image == o.Image && slices.Equal(r.Env, o.Env) && r.StopGracePeriod == o.StopGracePeriod &&
		r.HandoverTimeout == o.HandoverTimeout && r.HostNetwork == o.HostNetwork && r.NoRestart == o.NoRestart &&
		r.PublishedPorts == o.PublishedPorts
}

func (r *Release) grace() time.Duration {
	if r.StopGracePeriod > 0 {
		return r.StopGracePeriod
	}
	return DefaultStopGracePeriod
}

func (r *Release) timeout() time.Duration {
	if r.HandoverTimeout > 0 {
		return r.HandoverTimeout
	}
	return DefaultHandoverTimeout
}
