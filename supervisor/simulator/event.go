package simulator

import (
	"fmt"
	"syscall"
	"time"
)

// What an [Event] can be about: the engine's own words for containers, and
// what the Supervisor does.
const (
	EventUpdate  = "update"  // the restart policy was "cleared", without effect
	EventRename  = "rename"  // the container has another name
	EventCreate  = "create"  // it was created
	EventStart   = "start"   // its process was started
	EventKill    = "kill"    // its process was sent a signal
	EventDie     = "die"     // its process has ended
	EventStop    = "stop"    // stopping it is complete
	EventDestroy = "destroy" // it was removed

	EventTarget = "target" // the Supervisor has a new target
	EventDown   = "down"   // the Supervisor has ended
	EventUp     = "up"     // its API answers again
	EventMarker = "marker" // it has seen the marker, and removed it
	EventRotate = "rotate" // the service's API key was changed
	EventFailed = "failed" // a step failed, and is tried again after a pause
)

// Event is something that the engine or the Supervisor did.
type Event struct {
	At   time.Time
	Kind string
	// Container is its id, Name its name at that time; empty for what the
	// Supervisor does.
	Container, Name string
	// Release is the container's, or that of the target.
	Release Release
	Signal  syscall.Signal // of EventKill
	Code    int            // of EventDie
	Starts  int            // of EventStart and EventDie: which of its processes
	Reason  string         // of EventFailed: what the Supervisor logs
}

// String is for logs and failing tests.
func (e Event) String() string {
	text := e.Kind
	if e.Container != "" {
		text = fmt.Sprintf("%s %.12s (%s)", text, e.Container, e.Name)
	}
	switch e.Kind {
	case EventKill:
		text += fmt.Sprintf(" signal %d", int(e.Signal))
	case EventDie:
		text += fmt.Sprintf(" exit %d", e.Code)
	case EventFailed:
		text += ": " + e.Reason
	case EventTarget:
		text += fmt.Sprintf(" release %d", e.Release.ID)
	}
	return text
}
