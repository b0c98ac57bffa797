// Command handover is the entry point of a service's container on a balena
// device: it runs the service and hands over to the container that the
// Supervisor starts for an update.
package main

import (
	"os"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Environ(), streams{os.Stdin, os.Stdout, os.Stderr}))
}
