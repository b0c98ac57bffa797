package simulator

import (
	"fmt"
	"strings"
	"time"
)

// Version is how one version of the Supervisor behaves.
type Version struct {
	// Name is what [ByName] finds it by, such as "19.0.5".
	Name string
	// Recorded tells whether this very version was recorded. Otherwise its
	// behaviour was read in its source, and its times are those of the nearest
	// recorded version.
	Recorded bool
	// Waits tells whether it waits for the marker or the hand-over time-out
	// before it stops the old container. From 14.13.10 on the wait returns at
	// once.
	Waits bool
	// Unreleased marks a variant that was recorded but never released.
	Unreleased bool

	number string // what GET /v2/version answers
	// locks: an update lock held by the service postpones a hand-over (up to
	// v16.1).
	locks bool
	// oneAtATime: it does not start the next hand-over while a container is
	// being stopped. 14.13.9 does, and three containers run.
	oneAtATime bool
	// targetOfAnyRelease: /v2/applications/state shows the last image of the
	// service, of whatever release (before v14.11.7).
	targetOfAnyRelease bool
	// awaiting: /v2/applications/state says "Awaiting handover" of the new
	// container while the old one runs (from v17.7.0).
	awaiting bool
	// updateStatus: /v2/applications/state has updateStatus, appUuid and image.
	updateStatus bool

	times timings
}

// Versions are all versions, the oldest first.
func Versions() []Version {
	v14 := Version{
		Name: "14.13.9", Recorded: true, Waits: true, number: "14.13.9", locks: true, times: recorded14,
	}
	v12 := v14
	v12.Name, v12.number, v12.Recorded, v12.targetOfAnyRelease = "12", "12.11.38", false, true
	v19 := Version{
		Name: "19.0.5", Recorded: true, number: "19.0.5", oneAtATime: true, awaiting: true, updateStatus: true, times: recorded19,
	}
	v17 := v19
	v17.Name, v17.number, v17.Recorded, v17.awaiting, v17.updateStatus = "17.6", "17.6.0", false, false, false
	repaired := v19
	repaired.Name, repaired.Waits, repaired.Unreleased = "19.0.5-wait-repaired", true, true
	return []Version{v12, v14, v17, v19, repaired}
}

// Released are the versions that devices run.
func Released() []Version {
	var all []Version
	for _, v := range Versions() {
		if !v.Unreleased {
			all = append(all, v)
		}
	}
	return all
}

// ByName finds a version by its name, with or without a "v" before it.
func ByName(name string) (Version, error) {
	var names []string
	for _, v := range Versions() {
		if v.Name == strings.TrimPrefix(name, "v") {
			return v, nil
		}
		if !v.Unreleased {
			names = append(names, v.Name)
		}
	}
	return Version{}, fmt.Errorf("simulator: there is no Supervisor version %q; use one of %s", name, strings.Join(names, ", "))
}

// between is a range of times; what happens takes a random time in it.
type between struct{ least, most time.Duration }

// ms is not inlined, for the size of the binary.
func ms(least, most int) between {
	return between{time.Duration(least) * time.Millisecond, time.Duration(most) * time.Millisecond}
}

// timings are how long things take. The ranges are those of the recordings,
// see testdata in package supervisor.
type timings struct {
	apply         between // a new target, image present → the hand-over begins
	download      between // an image's download, as the recorder's local registry had it
	settle        between // downloaded → the hand-over begins
	next          between // a step done → the next one begins
	stillStopping between // the same while a container is being stopped (14.13.9)
	rename        between // restart policy cleared → renamed
	create        between // renamed → created
	start         between // created → started, on a bridge
	startHost     between // created → started, on the host's network
	failedStart   between // a start that fails takes so long
	again         between // a step failed → it is tried again, without the pause that doubles
	look          between // an old container is removed → it is noticed, by looking once a second
	besides       between // a step done → another service's container is renamed
	stopNow       between // started → the old one is being stopped, without a wait
	stopMarker    between // marker seen → being stopped
	stopTimeout   between // time-out over → being stopped
	signal        between // being stopped → SIGTERM
	sigkill       between // the grace period over → SIGKILL
	exited        between // a process has ended → the engine's "die"
	cleanup       between // "die" → "stop": the engine takes the network down
	cleanupHost   between // the same on the host's network
	remove        between // "stop" → "destroy"
	restart       between // "die" → the process is started again, without the engine's pause
	deleting      between // container removed → the image's deletion begins
	deleted       between // … and ends
	commitCleaned between // … → the new release is the current one
	commit        between // container removed → the new release is the current one
	applied       between // … → "applied"
	appliedSame   between // the same without another release
	commitRenamed between // container renamed → the new release is the current one

	appliedRenamed between // … → "applied"
	boot           between // the Supervisor is started → its API answers
	bootStop       between // the API answers → a container too many is being stopped
	before         between // a request's time before it looks at the containers
	after          between // … and after it
}

var recorded14 = timings{
	apply: ms(34, 75), download: ms(30, 200), settle: ms(205, 260), next: ms(20, 60), stillStopping: ms(1000, 1200),
	rename: ms(3, 14), create: ms(11, 147), start: ms(225, 365), startHost: ms(70, 73),
	failedStart: ms(60, 120), again: ms(20, 55), look: ms(60, 1100), besides: ms(190, 215),
	stopNow: ms(10, 48), stopMarker: ms(24, 25), stopTimeout: ms(14, 88), signal: ms(4, 6), sigkill: ms(9, 14),
	exited: ms(18, 36), cleanup: ms(151, 220), cleanupHost: ms(7, 7), remove: ms(7, 41), restart: ms(204, 290),
	deleting: ms(100, 150), deleted: ms(30, 60), commitCleaned: ms(1080, 1110),
	commit: ms(36, 1040), applied: ms(195, 1040), appliedSame: ms(110, 140),
	commitRenamed: ms(200, 275), appliedRenamed: ms(190, 220),
	boot: ms(745, 785), bootStop: ms(45, 61), before: ms(2, 12), after: ms(1, 12),
}

var recorded19 = timings{
	apply: ms(28, 60), download: ms(30, 200), settle: ms(220, 260), next: ms(180, 390), stillStopping: ms(180, 250),
	rename: ms(3, 16), create: ms(14, 113), start: ms(232, 413), startHost: ms(69, 73),
	failedStart: ms(60, 120), again: ms(20, 55), look: ms(60, 1100), besides: ms(190, 215),
	stopNow: ms(10, 48), stopMarker: ms(24, 25), stopTimeout: ms(14, 88), signal: ms(4, 6), sigkill: ms(9, 14),
	exited: ms(21, 36), cleanup: ms(93, 198), cleanupHost: ms(7, 7), remove: ms(10, 51), restart: ms(226, 335),
	deleting: ms(180, 222), deleted: ms(90, 100), commitCleaned: ms(1000, 1050),
	commit: ms(90, 1040), applied: ms(990, 1080), appliedSame: ms(110, 140),
	commitRenamed: ms(200, 275), appliedRenamed: ms(190, 220),
	boot: ms(645, 840), bootStop: ms(225, 275), before: ms(2, 12), after: ms(1, 12),
}
