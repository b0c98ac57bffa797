package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// DefaultStateDir is where the record of a container's first start is kept.
const DefaultStateDir = "/var/lib/handover"

// maxProcFile bounds what is read of a file of /proc.
const maxProcFile = 4 << 20

// IdentifyOptions says where to look; zero values mean this system.
type IdentifyOptions struct {
	// ContainerID is the configured id of this instance's container, full or short; it
	// wins over what is found.
	ContainerID string
	// StateDir is the folder for the record of the first start, in the
	// container's own writable layer. Empty keeps no record.
	StateDir string
	// Root is put before the paths in /proc that are read, for tests.
	Root string
	// Now is the wall clock and BootClock the time since boot (CLOCK_BOOTTIME),
	// for tests; nil means the system's.
	Now       func() time.Time
	BootClock func() (time.Duration, error)
}

// Self is what Identify found out.
type Self struct {
	Identity
	// BootID is the kernel's boot id, empty if it cannot be read.
	BootID string
	// ContainerSource tells where the container id was found: "config",
	// "mountinfo", "cgroup", "hostname", or "" if it was not.
	ContainerSource string
	// Restarted tells that this is not the container's first start.
	Restarted bool
	// Warnings are what went wrong and what follows from it, for the log.
	Warnings []error
}

// Identify finds out who this instance is. It always succeeds: what cannot be
// found out stays unknown, with a warning. It writes the record of the first
// start if there is none, so only the one process that guards a container may
// call it with a StateDir.
//
// All times are on CLOCK_BOOTTIME, which counts from boot, also through
// suspends, and which nobody can set. Only time namespaces can shift it
// (unshare -T; no container engine on balena does it): containers in different
// ones cannot be compared and do not hear each other, and none must be used. In one,
// there is a warning.
func Identify(o IdentifyOptions) Self {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BootClock == nil {
		o.BootClock = bootClock
	}
	self := Self{Identity: Identity{Instance: NewInstanceID()}}
	self.findBoot(o)
	self.findShift(o)
	self.findContainer(o)
	self.findStart(o)
	return self
}

func (s *Self) warn(err error, consequence string) {
	s.Warnings = append(s.Warnings, fmt.Errorf("peer: identify: %w: %s", err, consequence))
}

// findBoot reads the boot id and the boot clock.
func (s *Self) findBoot(o IdentifyOptions) {
	text, err := readProc(o.Root, "/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(text)
	if err == nil && !isBootID(id) {
		err = fmt.Errorf("the boot id %.40q is not a UUID", id)
	}
	if err == nil {
		s.BootID = id
	} else {
		s.warn(err, "instances on other devices of the same network cannot be told from those on this one")
	}
	if now, err := o.BootClock(); err == nil && now > 0 {
		s.FirstSequence = uint64(now)
	}
}

// findShift warns if a time namespace shifts the boot clock of this process.
func (s *Self) findShift(o IdentifyOptions) {
	text, err := readProc(o.Root, "/proc/self/timens_offsets")
	if err != nil {
		return // a kernel without time namespaces
	}
	if shift := bootShift(text); shift != 0 {
		s.warn(fmt.Errorf("a time namespace shifts the clock CLOCK_BOOTTIME of this process by %s", shift),
			"instances of this service without it, or with another shift, are not heard and do not hear this one, so none hands over to the other. "+
				"Start the containers of this service without a time namespace (unshare -T, --time)")
	}
}

// bootShift is the shift of CLOCK_BOOTTIME in a timens_offsets file, 0 if there is none.
func bootShift(text string) time.Duration {
	for line := range strings.Lines(text) {
		var seconds, nanos int64
		if n, _ := fmt.Sscanf(line, "boottime %d %d", &seconds, &nanos); n == 2 {
			return time.Duration(seconds)*time.Second + time.Duration(nanos)
		}
	}
	return 0
}

// isBootID reports whether the text is a UUID in lower case.
func isBootID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (text[i] == '-') || (!dash && !isHex(text[i:i+1])) {
			return false
		}
	}
	return true
}

// findContainer finds the id of this instance's container: configured, or in mountinfo, or
// in cgroup (version 1), or in the host name.
func (s *Self) findContainer(o IdentifyOptions) {
	if o.ContainerID != "" {
		id, err := ShortContainerID(o.ContainerID)
		if err == nil {
			s.Container, s.ContainerSource = id, "config"
			return
		}
		s.warn(err, "the configured id is not used")
	}
	for _, source := range []struct {
		name, path string
		find       func(string) string
	}{
		{"mountinfo", "/proc/self/mountinfo", containerFromMountinfo},
		{"cgroup", "/proc/self/cgroup", containerFromCgroup},
		{"hostname", "/proc/sys/kernel/hostname", containerFromHostname},
	} {
		text, err := readProc(o.Root, source.path)
		if err != nil {
			continue
		}
		if id, err := ShortContainerID(source.find(text)); err == nil {
			s.Container, s.ContainerSource = id, source.name
			return
		}
	}
	s.warn(errors.New("the id of this instance's container was not found"),
		"set service.container_id if this is a container. Without it nothing that the Supervisor lists is known to be this instance, and "+
			"its age counts only among instances without a container on this device: the one whose process was started last is the youngest")
}

// findStart finds the first start: from the record, or else that of this
// process, which is then recorded. Without a container, nothing is recorded: the
// start of this process is the only one.
func (s *Self) findStart(o IdentifyOptions) {
	started, err := processStart(o.Root)
	if err != nil {
		s.warn(err, "the first start stays unknown")
	}
	s.StartMilli = wallStart(o, started, err == nil)

	if s.Container == "" {
		s.standAlone(started, err == nil)
		return
	}
	if o.StateDir == "" || !s.mayKeep(o.StateDir) {
		return
	}
	own := firstStartRecord{Container: s.Container, Boot: s.BootID, StartNanos: int64(started), StartMilli: s.StartMilli}
	own.Unknown = err != nil || s.BootID == ""
	kept, restarted, err := keepRecord(recordPath(o.StateDir, s.Container), own)
	if err != nil {
		do := fmt.Sprintf("let user %d write to service.state_dir", os.Getuid())
		if errors.Is(err, syscall.EROFS) {
			do = "the container's file system is read-only: mount a volume or a tmpfs of this container's own at service.state_dir"
		}
		s.warn(err, do+", or set it to a folder of the container's own that it can write to; until then the Supervisor's list decides who is younger")
	}
	s.Restarted = restarted
	if kept == nil {
		return
	}
	s.StartMilli = kept.StartMilli
	if !kept.Unknown {
		s.FirstStart = FirstStart{Boot: BootHash(kept.Boot), Since: time.Duration(kept.StartNanos)}
	}
}

// standAlone takes the start of this process for the first one.
func (s *Self) standAlone(started time.Duration, known bool) {
	if known && s.BootID != "" {
		s.FirstStart = FirstStart{Boot: BootHash(s.BootID), Since: started}
		return
	}
	s.warn(errors.New("neither the container of this process nor when it was started is known"),
		"no other instance can be older or younger, so no hand-over will happen; set service.container_id, or see to it that /proc can be read")
}

// mayKeep reports whether the record can be kept in that folder. What root reads
// and writes where another user may write is that user's; a folder that was
// configured is used in spite of that.
func (s *Self) mayKeep(stateDir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	err := exposed(stateDir)
	switch {
	case err == nil:
		return true
	case stateDir == DefaultStateDir:
		s.warn(err, "it is not used: another user could make this container look older or younger. Let only root write there; until then the Supervisor's list decides who is younger")
		return false
	}
	s.warn(err, "it is used, as it is configured, but another user could make this container look older or younger: set service.state_dir to a folder that only root can write to")
	return true
}

// wallStart is the wall time of the process's start in milliseconds, or of now
// if the start is not known; always positive, since 0 means "do not act".
func wallStart(o IdentifyOptions, started time.Duration, known bool) int64 {
	wall := o.Now()
	if now, err := o.BootClock(); err == nil && known && now >= started {
		wall = wall.Add(started - now)
	}
	return max(wall.UnixMilli(), 1)
}

// readProc reads a file of /proc below the root.
func readProc(root, path string) (string, error) {
	file, err := os.Open(filepath.Join(root, path))
	if err != nil {
		return "", err
	}
	defer file.Close()
	return readAtMost(file, maxProcFile)
}
