package simulator

import (
	"os"
	"sync/atomic"
)

// Marker is the file handover-complete as the Supervisor sees it.
type Marker interface {
	// Take removes it, and tells whether it was there.
	Take() bool
}

// MarkerFile is the marker at a path.
type MarkerFile string

// Take implements Marker.
func (f MarkerFile) Take() bool { return os.Remove(string(f)) == nil }

// MarkerMemory is a marker without a file. The zero value is ready for use.
type MarkerMemory struct{ there atomic.Bool }

// Take implements Marker.
func (m *MarkerMemory) Take() bool { return m.there.Swap(false) }

// Write makes the marker appear, as an instance does.
func (m *MarkerMemory) Write() error {
	m.there.Store(true)
	return nil
}

// Remove removes it, as an instance does.
func (m *MarkerMemory) Remove() (bool, error) { return m.Take(), nil }

// There tells whether it is there.
func (m *MarkerMemory) There() bool { return m.there.Load() }

type noMarker struct{}

func (noMarker) Take() bool { return false }
