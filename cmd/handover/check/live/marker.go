package live

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/supervisor"
)

// marker is what there is of the file handover-complete.
type marker struct {
	late    bool
	err     error // it cannot be written
	there   bool
	written time.Time
}

func lookAtMarker(path string) *marker {
	m := &marker{err: supervisor.NewMarker(path).Check()}
	if info, err := os.Lstat(path); err == nil {
		m.there, m.written = true, info.ModTime()
	}
	return m
}

func (f *facts) judgeMarker(r *report) {
	path, m := f.cfg.Policy.CompletePath, f.marker
	if f.marker.late {
		r.late(markerFolder, "the folder of policy.complete_path, "+filepath.Dir(path))
		return
	}
	does, _ := behaviourOf(f.supervisor.version)
	level := check.Warning
	if does == tells || !f.asks() {
		level = check.Note // nobody looks at it
	}
	if m.err != nil {
		found := cause(m.err)
		if errors.Is(m.err, fs.ErrNotExist) {
			found = "there is no folder " + filepath.Dir(path)
		} else if _, text, ok := strings.Cut(m.err.Error(), path+": "); ok {
			found, _, _ = strings.Cut(text, ";")
		}
		r.add(level, markerFolder, "the marker (policy.complete_path) cannot be written: %s", found).because(
			"a Supervisor up to v14.13.9 then stops the old container only when io.balena.update.handover-timeout is over (60 s by default); later ones do not look at the marker",
			"on balena the Supervisor mounts the folder: run the service as root, or let its user write there; elsewhere no marker is needed")
	} else {
		r.ok(markerFolder, "the marker %s can be written", path)
	}
	if !m.there {
		r.ok(markerStale, "no marker lies there")
		return
	}
	f.judgeStale(r, path, m, level)
}

func (f *facts) judgeStale(r *report, path string, m *marker, level check.Level) {
	st := f.instance.status
	found := "a marker of " + m.written.Format(time.RFC3339) + " lies at " + path
	switch {
	case st == nil:
		r.note(markerStale, "%s; handover run removes it when it starts", found)
	case st.Phase == "released" || st.Phase == "draining" || othersLive(st):
		r.note(markerStale, "%s: a hand-over is under way, or was completed", found)
	default:
		age := ""
		if started := st.Workload.Started; started != nil && m.written.Before(*started) {
			age = ", from before this instance started its workload"
		}
		r.add(level, markerStale, "%s%s, and no hand-over is under way", found, age).because(
			"a Supervisor up to v14.13.9 takes it for the end of the next hand-over, and stops this container as soon as the new one has started",
			"remove the file, and let only handover write it")
	}
}

// othersLive reports whether another instance is heard that has not ended.
func othersLive(st *controller.Status) bool {
	for i := range st.Peers {
		if !st.Peers[i].Gone {
			return true
		}
	}
	return false
}
