// Package config is handover's configuration: the structure, the defaults,
// reading the file and the environment, and validation.
//
// One table (keys.go) holds every key with its default, its variables, what
// it may be and what it means. Defaults, the binding of the environment,
// validation, suggestions for misspelled keys, the output of "handover
// config" and the table in README.md all come from it or are held to it.
//
// What [Load] guarantees:
//
//   - It never panics, whatever the file and the environment hold, and reads
//     no more than 1 MiB of the file.
//   - A configuration that it returns is whole: every value is inside its
//     allowed range and every relation between values holds.
//   - Otherwise it returns an [*Error] with all problems at once, each with
//     its place, its key, its value, what is allowed and what to do.
//   - Text stays as it was written: app_id: 0123 is "0123", and container_id:
//     123456789e12 is not a number.
//   - Values of secrets are in no error, no warning and no printed
//     configuration. A [Secret] hides itself from fmt, log/slog and
//     encoding/json; only [Secret.Reveal] gives it away.
//
// What it does not do: it looks at nothing outside the file and the
// environment that it was given. Whether an interface exists, a folder can be
// written, a command can be found or the compose file says the same grace
// period is for the packages that use the values. It does not follow changes of
// the file. It cannot tell a secret that was
// written under an ordinary key, such as service.name, from an ordinary value.
package config
