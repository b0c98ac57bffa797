package decide

import "time"

// ConditionType names an aspect of the state that is either so or not.
type ConditionType string

// The conditions.
const (
	// Ready: this instance's workload is ready.
	Ready ConditionType = "Ready"
	// YoungerAnnounced: a younger instance says, now, that it serves.
	YoungerAnnounced ConditionType = "YoungerAnnounced"
	// YoungerRunning: the Supervisor reports that instance's container running.
	YoungerRunning ConditionType = "YoungerRunning"
	// Drained: this instance's workload has ended, its resources are free.
	Drained ConditionType = "Drained"
	// Complete: the hand-over is over, and the marker says so where it may.
	Complete ConditionType = "Complete"
)

// ConditionStatus is True, False or Unknown, as in Kubernetes.
type ConditionStatus string

// The statuses.
const (
	True    ConditionStatus = "True"
	False   ConditionStatus = "False"
	Unknown ConditionStatus = "Unknown"
)

// Condition is one aspect of the state, with why and since when.
type Condition struct {
	Type               ConditionType   `json:"type"`
	Status             ConditionStatus `json:"status"`
	Reason             Reason          `json:"reason"`
	Message            string          `json:"message"`
	LastTransitionTime time.Time       `json:"lastTransitionTime"`
}

// Transition takes over the times of conditions whose status did not change.
func Transition(before, now []Condition, at time.Time) []Condition {
	for i := range now {
		now[i].LastTransitionTime = at
		for _, b := range before {
			if b.Type == now[i].Type && b.Status == now[i].Status {
				now[i].LastTransitionTime = b.LastTransitionTime
			}
		}
	}
	return now
}

// truth turns a boolean into a status.
func truth(b bool) ConditionStatus {
	if b {
		return True
	}
	return False
}
