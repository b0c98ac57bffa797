// Package compose reads a docker-compose.yml for balena, and what lies beside
// it, for what would make a hand-over go wrong: `handover check --compose`.
//
// What it guarantees:
//
//   - Nothing is started, nothing is changed, no network is used. Besides the
//     compose file only these are read, in the build contexts below its folder:
//     Dockerfiles, handover.yaml (or the file that HANDOVER_CONFIG or --config
//     names), package.json. Links and ".." that lead out of that folder are not
//     followed; what is no regular file, or larger than 1 MiB, is not read.
//   - Whatever the file holds, there is no panic and no endless loop; what is
//     wrong with it is a finding with its line.
//   - What cannot be judged is said in a note and not judged: values with
//     ${VARIABLES}, what `extends`, `env_file` and `label_file` bring in, images
//     that are not built here.
//   - A finding shows labels, durations and names. Of the environment it shows only
//     what package config does, which masks secrets, and of commands the program.
//   - The names of the checks and their levels are those of README.md beside this
//     file; names stay the same over versions.
//
// What it does not guarantee:
//
//   - That the file is valid for Compose, or that balena takes it. It is read the
//     way that Compose reads it, but only the fields that matter to a hand-over.
//   - Anything about a base image: neither its ENTRYPOINT, HEALTHCHECK, USER and
//     STOPSIGNAL nor the files in it.
//   - Anything about variables that are set in balena's dashboard. They win over
//     the compose file's.
//   - That the handover.yaml of the build context is the one in the image.
package compose
