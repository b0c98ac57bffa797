package supervisor

import (
	"strings"
	"unicode"
)

// Status is the state of a container or of an image in the Supervisor's own
// words. Words differ between versions and new ones appear, so ask [Status.Running]
// and [Status.MayServe] instead of comparing: they look at the letters only,
// without regard to case, spaces and hyphens.
type Status string

// The words that are known. The first group is a container's; "exited" and
// what follows in it come from Docker as they are.
const (
	StatusInstalling Status = "Installing" // being created
	StatusInstalled  Status = "Installed"  // created, not started
	StatusStarting   Status = "Starting"
	StatusRunning    Status = "Running" // also while Docker restarts or pauses it
	StatusStopping   Status = "Stopping"
	StatusExited     Status = "exited"
	StatusDead       Status = "Dead"
	StatusRemoving   Status = "removing"

	// StatusAwaitingHandover is what /v2/applications/state calls a new
	// container that runs beside the old one, from v17.7.0 on.
	StatusAwaitingHandover Status = "Awaiting handover"
	// StatusHandingOver is what /v2/applications/:appId/state says if there are
	// two entries of one image id: two containers, or one that is just being
	// created. So there, and only there, it does not say that a new one runs.
	StatusHandingOver Status = "Handing over"

	// Of images, where no container exists.
	StatusDownloading Status = "Downloading"
	StatusDownloaded  Status = "Downloaded"
	StatusDeleting    Status = "Deleting"
)

// Running reports whether a container with this status runs: Running, Awaiting
// handover, Handing over. Words that are not known are not taken for running.
func (s Status) Running() bool {
	switch s.letters() {
	case "running", "awaitinghandover", "handingover":
		return true
	}
	return false
}

// MayServe reports whether a container with this status serves, or may come to
// serve without being created or started anew. It is false for Installing,
// Installed, Stopping, exited, Dead, removing, and for the states of images.
// It is true for everything else, the empty word included: what is not known
// must not pass for "there is no successor".
func (s Status) MayServe() bool {
	switch s.letters() {
	case "installing", "installed", "stopping", "exited", "dead", "removing",
		"downloading", "downloaded", "deleting":
		return false
	}
	return true
}

// Stopping reports whether a container with this status is being stopped.
func (s Status) Stopping() bool { return s.letters() == "stopping" }

// Ended reports whether a container with this status has run and does not run
// any more: exited, Dead.
func (s Status) Ended() bool {
	l := s.letters()
	return l == "exited" || l == "dead"
}

// letters are the letters of the word, in lower case.
func (s Status) letters() string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, string(s))
}
