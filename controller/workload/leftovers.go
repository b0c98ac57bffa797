package workload

import (
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/handover-controller/handover/peer/procfs"
)

// Leftovers are what an ended workload leaves running: members of its process
// group, and orphans that were handed to us.

// origin tells which processes stem from a workload.
type origin struct {
	group int // and its main process
	// since is when that started, in the kernel's clock ticks, and
	// strangers are the children that we had before, without having started
	// them: for instance a udevd of the entrypoint that executed us. Orphans
	// that are older than the workload are not the workload's.
	since     uint64
	strangers map[int]uint64 // pid and start
}

func (o *origin) adopted(p procfs.Stat) bool {
	if start, known := o.strangers[p.PID]; known && start == p.Start {
		return false
	}
	return p.Start >= o.since
}

// strangers lists our children that we did not start.
func (r *Reaper) strangers() map[int]uint64 {
	if !r.adopts {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found, self := map[int]uint64{}, os.Getpid()
	for _, p := range procfs.All() {
		if p.Parent == self && r.registered[p.PID] == nil {
			found[p.PID] = p.Start
		}
	}
	return found
}

// killLeftovers sends SIGKILL to orphans of the workload, and returns how many
// of them, and of its group, live. The group itself was killed when its leader
// ended; what is left of it is about to die.
//
// The list of processes is not of one moment. One whose parent is dead in it
// was read before it was handed on: it counts, and is looked at again.
func (r *Reaper) killLeftovers(o origin) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	self, living := os.Getpid(), 0
	all := procfs.All()
	alive := map[int]bool{}
	for _, p := range all {
		alive[p.PID] = !p.Dead()
	}
	for _, p := range all {
		switch {
		case p.Dead() || r.registered[p.PID] != nil || p.PID == self:
		case r.adopts && p.Parent == self && o.adopted(p):
			// Unreaped, and reaped only with the lock held: the number is its own.
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
			living++
		case p.Group == o.group, r.adopts && p.Parent != 0 && !alive[p.Parent]:
			living++
		}
	}
	return living
}

// sweep kills leftovers until there are none: the death of one hands us its
// children. It looks once more then, since a process may be made between the
// reading of two others. It returns how many live at the deadline.
func (r *Reaper) sweep(o origin, deadline time.Time) int {
	pause := time.Millisecond
	for none := 0; ; {
		living := r.killLeftovers(o)
		if living > 0 {
			none = 0
		} else if none++; none == 2 {
			return 0
		}
		if !time.Now().Before(deadline) {
			return living
		}
		if living > 0 {
			time.Sleep(pause)
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

// ownProcesses returns the processes of the workload: its main process, its
// group, its orphans that were handed to us, and the descendants of all these. Others that the reaper
// started are left out, with their descendants.
func (r *Reaper) ownProcesses(o origin) []int {
	r.mu.Lock()
	others := maps.Clone(r.registered)
	r.mu.Unlock()
	delete(others, o.group)

	self := os.Getpid()
	children := map[int][]int{}
	own := map[int]bool{}
	var queue []int
	for _, p := range procfs.All() {
		children[p.Parent] = append(children[p.Parent], p.PID)
		if p.PID == o.group || p.Group == o.group || r.adopts && p.Parent == self && o.adopted(p) {
			queue = append(queue, p.PID)
		}
	}
	for len(queue) > 0 {
		pid := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !own[pid] && others[pid] == nil {
			own[pid] = true
			queue = append(queue, children[pid]...)
		}
	}
	return slices.Sorted(maps.Keys(own))
}
