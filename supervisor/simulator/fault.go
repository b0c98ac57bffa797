package simulator

import (
	"net/http"
	"strings"
)

// Fault is a way in which the API fails.
type Fault struct {
	// Kind says how.
	Kind FaultKind
	// Status is the answer's status of FaultStatus, such as 500 or 401.
	Status int
	// Paths are the beginnings of the paths that fail; none: all.
	Paths []string
}

// FaultKind is how the API fails.
type FaultKind int

// The kinds of faults.
const (
	// FaultStatus: every answer has the fault's status.
	FaultStatus FaultKind = iota
	// FaultStall: no answer ever comes.
	FaultStall
	// FaultRefuse: connections are refused.
	FaultRefuse
	// FaultStale: each answer is the one that was true when the fault began.
	FaultStale
	// FaultHalf: the connection ends in the middle of the body.
	FaultHalf
)

// Fail makes the API fail until the function that it returns is called. What
// the Supervisor does is not affected. Of several faults the latest counts.
func (s *Simulator) Fail(f Fault) (heal func()) {
	s.mu.Lock()
	s.faults = append(s.faults, &f)
	if f.Kind == FaultStale {
		s.stale = map[string]answer{}
		for path, build := range s.plainAnswers() {
			s.stale[path] = object(http.StatusOK, build())
		}
	}
	s.wakeLocked()
	s.mu.Unlock()
	s.reopen()
	healed := false
	return func() {
		s.mu.Lock()
		for i, each := range s.faults {
			if each == &f && !healed {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
				healed = true
				break
			}
		}
		s.wakeLocked()
		s.mu.Unlock()
		s.reopen()
	}
}

// fault is the fault that a request meets, or nil.
func (s *Simulator) fault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.faults) - 1; i >= 0; i-- {
		f := s.faults[i]
		if len(f.Paths) == 0 {
			return f
		}
		for _, p := range f.Paths {
			if strings.HasPrefix(path, p) {
				return f
			}
		}
	}
	return nil
}

// refused tells whether the API takes no connections at all.
func (s *Simulator) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down > 0 || s.stopped {
		return true
	}
	for _, f := range s.faults {
		if f.Kind == FaultRefuse && len(f.Paths) == 0 {
			return true
		}
	}
	return false
}
