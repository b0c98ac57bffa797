// Package simulator is a balena Supervisor without a device: it creates, starts,
// stops and restarts containers of one service, and answers the Supervisor's
// API about them, as a given version does. Containers are real processes
// ([Processes]), or fakes ([Scripted], or any [Runtime]), also on virtual time
// (testing/synctest).
//
// What it does and when follows recordings of real Supervisors 14.13.9 and
// 19.0.5 with a real Docker engine: statuses for each endpoint, stalls of the
// API while the engine is busy, the engine's events and their times. A test
// compares it with every recording. Versions 12 and 17.6 were not recorded: they
// follow the Supervisor's source, with the times of the nearest recorded
// version ([Version.Recorded] tells).
//
// A Supervisor can be disturbed as real ones were: ended, killed between two
// steps ([Simulator.CrashAt]) and started again, which repeats what it does to a
// container that it was stopping. A step that fails is tried again after growing
// pauses, perhaps for ever ([Simulator.Stuck]).
//
// What it does not do: more than two services (see [Options] for the second
// one), several apps or networks, volumes, downloads that fail, delta updates,
// health checks (the engine reports no health to the Supervisor), pausing, and
// the API's commands but for [Simulator.Restart]. A container has no file system
// and no namespaces of its own.
package simulator
