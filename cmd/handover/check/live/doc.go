// Package live looks at the device, the container and the configuration that it
// runs in for what would make a hand-over go wrong.
//
// What it guarantees:
//
//   - It changes nothing that lasts. What it writes, to see whether it can, has
//     names of its own and is removed again; the record of a container's first
//     start and the status socket are never made. What it sends nobody acts
//     upon (peer.TryMulticast).
//   - It ends within about ten seconds, also when nothing answers.
//   - The findings come in the same order each time, under the names that the
//     table in README.md one folder above lists.
//   - No secret is in a finding.
//
// What it does not: it sees one side. Whether another container hears what is
// sent, whether the compose file says what the configuration says, and how long
// a release takes to become ready that never ran here, it cannot know; it says
// so where it matters.
package live
