package workload

import (
	"path"
	"slices"
	"strings"
	"time"
)

// initTime is how soon an init ends that finds that it is not process 1.
const initTime = 2 * time.Second

// inits are the names of programs that refuse to run as another process than 1,
// or do not work then: those of s6-overlay, phusion/baseimage, systemd, SysV,
// runit and OpenRC.
var inits = []string{"init", "my_init", "systemd", "s6-svscan", "s6-linux-init", "runit-init", "runit", "openrc-init"}

// wantsToBeInit reports whether a workload that ended by itself may have done so
// because it is not process 1 of the container: that is handover.
func wantsToBeInit(command string, code int, ran time.Duration) bool {
	name, _, _ := strings.Cut(path.Base(command), ".")
	return code != 0 && ran < initTime && slices.Contains(inits, name)
}
