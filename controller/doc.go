// Package controller decides when an instance of a service hands over to
// another one, and makes it so.
//
// It is built as Kubernetes' controllers are: events only wake one loop, which
// takes a Snapshot of everything that is known, lets the pure function Decide
// say what should be, and acts until it is so. The state is in one goroutine;
// what others see is a copy.
//
// It guarantees, as long as peers and Supervisor tell the truth:
//
//   - An instance that has not been told to stop ends its workload only for a
//     younger instance that says, at that time, that it serves, and that the
//     Supervisor reports running (unless the Supervisor is switched off by
//     configuration).
//   - One that has been told to stop serves on until another instance serves,
//     runs and has acknowledged it; until it is certain enough that there is
//     none; or until the last moment for an orderly end before SIGKILL.
//   - Two instances never step down for each other.
//   - After the workload has ended in order it stays until it is told to stop,
//     and starts the workload again if the other instance does not last.
//   - Nothing is lost when events are: whatever wakes the loop, it looks at
//     everything anew, and Decide says when to look again.
//
// It does not guarantee that the other instance does its work well: one that
// announces itself ready, is running and answers nobody takes the service with
// it. It does not outlive SIGKILL; and without the Supervisor it believes
// whoever announces itself on the network, or, with a secret, whoever has that.
package controller
