package decide

import "github.com/handover-controller/handover/peer"

// conditions derives the conditions from the snapshot and the peer that most
// speaks for.
func (w *world) conditions(b *candidate) []Condition {
	drain := w.memory.Drain
	w.about = peer.InstanceID{}
	if b != nil {
		w.about = b.Instance
	}
	ready := Condition{Type: Ready, Status: truth(w.Workload.Ready), Reason: "ProbeSucceeded", Message: "the workload is ready"}
	switch {
	case w.Workload.Ready:
	case drain != nil && drain.Aside:
		ready.Reason, ready.Message = "NotStarted", "a younger instance serves; the workload was not started"
	case w.Workload.Ended:
		ready.Reason, ready.Message = "Ended", "the workload has ended"
	case !w.Workload.Started:
		ready.Reason, ready.Message = "NotStarted", "the workload has not been started"
	default:
		ready.Reason, ready.Message = "ProbeFailed", "the workload is not ready"
		if w.Workload.NotReady != "" {
			ready.Message += ": " + w.Workload.NotReady
		}
	}
	who := "younger instance"
	if w.Self.Told() {
		who = "successor"
	}
	announced := Condition{Type: YoungerAnnounced, Status: False, Reason: "NoPeer", Message: "no " + who + " is known"}
	running := Condition{Type: YoungerRunning, Status: Unknown, Reason: "NoPeer", Message: "no " + who + " is known"}
	if w.Policy.SupervisorOff {
		running.Status, running.Reason, running.Message = w.running(nil)
	}
	if b != nil {
		running.Status, running.Reason, running.Message = b.running, b.reason, b.message
		announced.Status = truth(b.announced)
		switch {
		case b.announced:
			announced.Reason, announced.Message = "Serving", "the "+who+" says that it serves"
		case announcing(b.Peer):
			announced.Reason, announced.Message = "Silent", "the "+who+" said that it serves, but not just now"
		default:
			announced.Reason, announced.Message = "NotServing", "the "+who+" says that it is "+b.Phase.String()
		}
	}
	drained := Condition{Type: Drained, Status: False, Reason: "Running", Message: "the workload has not been drained"}
	complete := Condition{Type: Complete, Status: False, Reason: "NotReleased", Message: "the workload is still this instance's"}
	switch {
	case drain != nil && drain.ReleasedAt.IsZero():
		drained.Reason, drained.Message = ReasonDraining, "the workload finishes its work"
	case drain != nil:
		drained.Status, drained.Reason, drained.Message = True, ReasonReleased, "the workload has ended, its resources are free"
		complete.Reason, complete.Message = "Checking", "both signals are checked once more"
		if w.Policy.Standby > 0 {
			complete.Reason, complete.Message = ReasonStandby, "the younger instance is watched for policy.standby, then both signals are checked once more"
		}
		if drain.Completed {
			complete.Status, complete.Reason, complete.Message = True, "HandedOver", w.outcome(drain)
		}
	case !w.Workload.Started:
		drained.Reason, drained.Message = "NotStarted", "the workload has not been started"
	}
	return []Condition{ready, announced, running, drained, complete}
}
