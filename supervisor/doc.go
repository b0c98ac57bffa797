// Package supervisor asks balena's Supervisor what it knows about a device's
// containers and releases, and keeps the marker file by which an old container
// tells it that a hand-over is complete.
//
// What it guarantees:
//
//   - An answer that cannot be understood is an error, never an empty list: "no
//     containers" is only ever said by a Supervisor, not by an error page, a cut
//     connection or a changed format.
//   - No call outlasts its time-out, body included, and none reads more than
//     [MaxBody] bytes of an answer.
//   - The API key goes to the configured address only, in a header: redirects
//     are not followed, proxies from the environment are not used, and no error
//     or printed value of this package contains it, even if the other side
//     echoes it.
//   - Between calls a [Client] holds no goroutine and no connection.
//   - A [Marker] appears whole or not at all, and is never written through a
//     symbolic link.
//
// What it does not:
//
//   - It does not retry, cache or poll: one call is one question, and when to
//     ask is the caller's decision. (One question is asked twice until it is
//     known which kind of Authorization header the Supervisor understands; see
//     [NewClient].)
//   - An error is not an answer. Every [Kind] of error means "unknown"; none
//     means "not running".
//   - It cannot see health. A container in a crash loop is reported as Running.
//   - It does not decide who is younger, or who may stop: that is package
//     controller's.
//
// README.md beside this file tells which Supervisor version does what.
package supervisor
