package config_test

import (
	"fmt"
	"os"

	"github.com/handover-controller/handover/config"
)

func ExampleLoad() {
	_, err := config.Load(config.Options{
		Path:    "handover.yaml",
		Environ: []string{"SHUTDOWN_PORT=99999"}, // a program passes os.Environ()
		Open:    only("service:\n  name: main\n  stop_grace_period: 10\n"),
	})
	fmt.Println(err)
	// Output:
	// handover.yaml:3: service.stop_grace_period: "10" has no unit
	//     allowed: a duration such as 10s or 500ms, from 1s to 24h
	//     to do: write 10s if seconds are meant
	// SHUTDOWN_PORT: network.port: "99999" is out of range
	//     allowed: a whole number from 1 to 65535
}

func ExampleLoaded_Origin() {
	loaded, err := config.Load(config.Options{
		Environ: []string{"BALENA_APP_ID=1234567"},
		Open:    only("service:\n  app_id: 1\n  name: main\n"),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for _, key := range []string{"service.app_id", "service.name", "network.port"} {
		fmt.Println(key, "from", loaded.Origin(key))
	}
	// Output:
	// service.app_id from BALENA_APP_ID
	// service.name from handover.yaml:3
	// network.port from default
}
