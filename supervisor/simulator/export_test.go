package simulator

import "net/http"

// Truth is what an endpoint would say at this moment, without any stall.
func (s *Simulator) Truth(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return object(http.StatusOK, s.plainAnswers()[path]()).body
}
