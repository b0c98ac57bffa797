package live

import (
	"strconv"
	"strings"
)

// release is a version of the Supervisor: its first three numbers.
type release [3]int

// parseRelease reads "14.13.10", "v14.13.10" and "14.13.10+rev1".
func parseRelease(text string) (release, bool) {
	var r release
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "v"), "+")
	text, _, _ = strings.Cut(text, "-")
	numbers := strings.Split(text, ".")
	if len(numbers) != len(r) {
		return r, false
	}
	for i, n := range numbers {
		var err error
		if r[i], err = strconv.Atoi(n); err != nil || r[i] < 0 {
			return r, false
		}
	}
	return r, true
}

// before reports whether r is older.
func (r release) before(other release) bool {
	for i := range r {
		if r[i] != other[i] {
			return r[i] < other[i]
		}
	}
	return false
}

// behaviour is how a Supervisor ends the old container; supervisor/README.md
// has the sources.
type behaviour int

const (
	unknownBehaviour behaviour = iota
	// tooOld has no hand-over that is known.
	tooOld
	// polls waits for the marker, or until the time-out is over.
	polls
	// tells sends SIGTERM as soon as the new container has started.
	tells
)

// behaviourOf tells what a version does, and whether that was looked at.
func behaviourOf(version string) (does behaviour, lookedAt bool) {
	r, ok := parseRelease(version)
	switch {
	case !ok:
		return unknownBehaviour, false
	case r.before(release{7, 0, 0}):
		return tooOld, false
	case r.before(release{14, 13, 10}):
		return polls, true
	}
	return tells, r.before(release{19, 0, 6})
}

// locks tells what an update lock does to a hand-over.
func locks(version string) string {
	if r, ok := parseRelease(version); !ok || !r.before(release{16, 2, 0}) {
		return "an update lock does not put off a hand-over from v16.2 on"
	}
	return "a service that holds the update lock puts off the hand-over"
}

// lacking is what the API of a version does not have yet. without tells that
// handover cannot do without.
func lacking(version string) (text string, without bool) {
	r, ok := parseRelease(version)
	switch {
	case !ok:
		return "", false
	case r.before(release{7, 12, 0}):
		return "neither the list of containers (/v2/state/status, from v9.7 on) nor the target release (/v2/applications/state, from v7.12 on)", true
	case r.before(release{9, 7, 0}):
		return "no list of containers (/v2/state/status, from v9.7 on)", true
	}
	return "", false
}
