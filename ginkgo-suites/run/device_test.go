package run_test

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
)

// deviceVariable names a kind of device (BALENA_ARCH) for whose processor the program
// is built and run instead of this machine's. The suite of devices sets it.
const deviceVariable = "RUN_SUITE_DEVICE"

// onDevice marks the specs that the suite of devices runs for each of them.
var onDevice = Label("device")

// device is how to build for a processor, and what runs that here, if the kernel
// cannot.
type device struct{ environ, emulator []string }

var devices = map[string]device{
	"aarch64": {[]string{"GOARCH=arm64"}, []string{"qemu-aarch64"}},
	"armv7hf": {[]string{"GOARCH=arm", "GOARM=7"}, []string{"qemu-arm", "-cpu", "cortex-a7"}},
	"rpi":     {[]string{"GOARCH=arm", "GOARM=6"}, []string{"qemu-arm", "-cpu", "arm1176"}},
	"i386":    {environ: []string{"GOARCH=386"}}, // by an amd64 kernel
}

// emulated reports whether the program runs in an emulator.
func emulated() bool { return len(devices[os.Getenv(deviceVariable)].emulator) > 0 }
