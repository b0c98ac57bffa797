package decide

import (
	"time"

	"github.com/handover-controller/handover/peer"
)

// ended decides for an instance whose workload has ended by itself. The instance
// ends with its status, and the engine starts the container again. There are two
// places where the engine would not, or would too late: while this instance holds,
// and in a crash loop beside an older instance that serves. There the workload is
// started again in this container, with the pauses that the engine makes.
func (w *world) ended() Decision {
	if w.memory.EndedAt.IsZero() {
		w.memory.EndedAt = w.Now
	}
	if w.lingers() {
		return w.linger()
	}
	if d, ok := w.revive(); ok {
		return d
	}
	return w.exit(w.Workload.ExitCode, ReasonWorkloadEnded, "the workload ended by itself: end with its status")
}

// crashed reports whether the workload, which has ended by itself, did not mean to:
// it neither said so with status 0 nor was asked to end by SIGTERM or SIGINT.
func (w *world) crashed() bool {
	switch w.Workload.ExitCode {
	case 0, 128 + 2, 128 + 15:
		return false
	}
	return true
}

// retryAt is when a workload that has crashed is due to be started again.
func (w *world) retryAt() time.Time {
	pause := retryPause
	for range w.memory.Tries {
		if pause *= 2; pause >= retryPauseAtMost {
			pause = retryPauseAtMost
			break
		}
	}
	return w.memory.EndedAt.Add(pause)
}

// retry notes that the workload is started again.
func (w *world) retry() {
	w.memory.EndedAt = time.Time{}
	w.memory.Tries++
}

// lingers reports whether an instance whose workload has ended by itself stays
// for a moment: in a container that was restarted, so that this is a crash loop,
// while an older instance serves. One whose workload crashed stays when the older
// one has ended, too: here it is started again sooner. See lingerFor.
func (w *world) lingers() bool {
	if w.Self.Told() || !w.Self.Restarted || w.Policy.Exclusive || w.reached(w.Self.ListeningSince.Add(lingerFor)) {
		return false
	}
	return w.olderServes() || w.memory.Lingers && w.crashed()
}

// olderServes reports whether an older instance said last that it serves or holds.
// Nobody has asked it, so that may be a while ago.
func (w *world) olderServes() bool {
	for i := range w.Peers {
		p := &w.Peers[i]
		serves := p.Phase == peer.PhaseServing || p.Phase == peer.PhaseHolding
		if serves && !p.Legacy && !p.Ended() && w.relate(p) == Older {
			return true
		}
	}
	return false
}

// linger stays although the workload has ended, and starts it again: at once when
// nobody older serves any more.
func (w *world) linger() Decision {
	before := w.memory
	older := w.olderServes()
	forsaken := before.Lingers && !older && !before.Forsaken
	if forsaken {
		w.memory.Tries = 0
	}
	w.memory.Lingers, w.memory.Forsaken = true, !older
	d := w.base(peer.PhaseStarting, WorkloadStay)
	if w.crashed() && (forsaken || w.reached(w.retryAt())) {
		memory := w.memory
		if d = w.serve(); d.Workload == WorkloadRun {
			w.retry()
		} else {
			// A younger one serves: the restarted container steps aside for it.
			w.memory = memory
			return w.exit(w.Workload.ExitCode, ReasonWorkloadEnded, "the workload ended by itself, and a younger instance serves: end with its status")
		}
	}
	d.Ask, d.Warning, d.Reason = true, true, ReasonEndedEarly
	d.Message = "the workload ended early, again, beside an older instance: it is started again here, and this container stays until it is 10 s old, so that a Supervisor can replace it"
	if !w.crashed() {
		d.Message = "the workload ended early, again, while an older instance serves: this container stays until it is 10 s old, so that a Supervisor can replace it"
	}
	d.Conditions = w.conditions(nil)
	return d
}

// revive decides for an instance that is told, and whose workload crashed after it
// had been ready. Docker does not restart a container that is being stopped. If
// the instance would hold, the workload is started again; not an exclusive one,
// whose right the successor has by now, nor one in a crash loop.
func (w *world) revive() (Decision, bool) {
	if !w.Self.Told() || w.Policy.Exclusive || !w.crashed() {
		return Decision{}, false
	}
	before := w.memory
	if before.Lingers {
		if !w.reached(w.Self.ListeningSince.Add(lingerFor)) {
			return Decision{}, false
		}
		w.memory.Lingers, w.memory.Tries = false, 0 // it has lasted since
	}
	if !w.Workload.EverReady && w.memory.Tries == 0 {
		return Decision{}, false
	}
	d := w.told()
	if d.Phase != peer.PhaseHolding {
		w.memory = before
		return Decision{}, false
	}
	d.Workload = WorkloadStay
	if w.reached(w.retryAt()) {
		d.Workload = WorkloadRun
		w.retry()
	}
	d.Warning, d.Reason = true, ReasonWorkloadCrashed
	d.Message = "told to stop, and the workload crashed before a successor is ready: it is started again, as the engine does not while it stops this container"
	return d, true
}
