// Package workload runs the command that a container is there for: it starts
// it, knows when it is ready, passes signals on to it, ends it in an orderly
// way, and reaps what it leaves behind. When to start and when to drain is
// decided elsewhere.
//
// # What it guarantees
//
// The command does not notice what started it. Standard streams, environment
// (byte for byte, with duplicates and odd entries), working directory,
// argv[0], umask, niceness, limits, signal mask, and inherited descriptors are
// those that it would have had by itself; no descriptor of ours leaks into it.
// It has a process group of its own, and if we stand in the foreground of our
// controlling terminal it gets that terminal, so that Ctrl-C and window sizes
// reach it and not us. Under a shell, Ctrl-Z, bg and fg work as for any job.
//
// The exit status is never lost and never stolen: one [Reaper] does all the
// waiting. As process 1, or as a subreaper, it also reaps every orphan. The
// exit code is that of tini and Docker: the command's own, 128+n for signal n,
// 127 if it was not found, 126 if it could not be executed.
//
// Nothing outside is changed through what another user planted: the readiness
// file of an earlier run is removed, but no folder, nothing that a link in its
// place leads to, and nothing behind a link of another user.
//
// A signal never hits a stranger: processes are signalled only while they
// stand unreaped under a lock, so that their number cannot have been reused.
//
// A drain always ends: pre-stop command, stop signal, and SIGKILL to the whole
// process group have a deadline, and a command that takes too long never takes
// the later steps' time. After a drain, State.Ended is set only when what was
// left of the process group (and, when reaping orphans, daemons that left the
// group) has been killed, so that ports, files and devices are free. That
// takes at most one second; what still hangs in the kernel then is logged.
//
// Ready is said only of the run that is running: a late answer to a probe of
// an earlier run is dropped.
//
// Nothing is polled while nothing happens. Only the readiness kinds that have
// to ask (http, tcp, command, and auto once it has found a listening socket)
// wake up, every ServingPeriod.
//
// Why it is not ready is known: State.NotReadyReason is what the readiness rule
// has found last. If that lasts for some seconds, the log says it, and again when
// it is another reason, but less and less often. A probe that fails for want of
// descriptors, processes or memory tells nothing of the workload: it counts
// neither as a failure nor as a success.
//
// # What it does not guarantee
//
//   - Signals that were ignored when this process started stay ignored for
//     the command only for SIGHUP, SIGINT, and the job control signals. The Go
//     runtime replaces the others' disposition before main is reached, and does
//     not tell what it was; the command gets their default. What is to be
//     ignored is to be said in the command: sh -c 'trap "" USR1; exec service'.
//   - Standard streams that were closed when this process started are
//     /dev/null for the command: the Go runtime opens them.
//   - If this process dies by SIGKILL, the main process is killed with it
//     (PR_SET_PDEATHSIG), its descendants are not. As process 1 the kernel
//     kills them all. A set-user-id program, or one with file capabilities,
//     loses that protection when it is executed.
//   - When not reaping orphans, a process that left the workload's group
//     and lost its parent is not found: neither to kill it at the end of a
//     drain, nor to see that it listens.
//   - When reaping orphans, an orphan of a `docker exec` that was started
//     after the workload cannot be told from one of the workload's: it is
//     killed at the end of a drain. The `docker exec` itself, and processes
//     older than the workload, are never touched.
//   - Signal 34 (glibc's SIGRTMIN) cannot be received by a Go program.
//     Real-time signals are passed on without their value, and not counted.
//   - Readiness kinds http and tcp ask an address: with a network shared
//     between containers, somebody else may answer.
//   - Readiness auto may not look into a process that changed to another user,
//     unless this process has CAP_SYS_PTRACE, which containers do not have by
//     default. It then infers: if the network namespace is the container's alone
//     (all its interfaces have their other end elsewhere, and nobody listened
//     there before the start but programs that can be looked into), what began to
//     listen there since, opened by a user of the workload's, is the workload's.
//     With the host's network, and with one that containers share, that cannot be
//     told: the workload is ready by its age. A container that shares the network,
//     listens nowhere when the workload is started, and does so as the same user
//     later is not told from it.
//   - Readiness auto looks for TCP alone: a service on UDP is ready by its age, and
//     so is one whose only listening sockets are those that it was started with.
//     One that was taken for ready by its age is looked at again after each fifth of
//     it, until it is two minutes old: if it begins to listen then, its readiness
//     follows that.
package workload
