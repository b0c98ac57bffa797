package simulator_test

import (
	"context"
	"fmt"
	"time"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

// A Supervisor with two containers that only wait, asked by the real client.
func Example() {
	version, err := simulator.ByName("19.0.5")
	if err != nil {
		panic(err)
	}
	s, err := simulator.New(simulator.Options{
		Version: version,
		Runtime: simulator.Scripted(func(simulator.Container) simulator.Script {
			return simulator.Script{StopTakes: 3 * time.Second}
		}),
	})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	release := func(n int64) simulator.Release {
		return simulator.Release{ID: 1000 + n, ImageID: 500 + n, Commit: fmt.Sprint("commit", n), Image: fmt.Sprint("image", n)}
	}
	ctx := context.Background()
	s.SetTarget(release(1))
	_ = s.Wait(ctx, func() bool { return len(s.Containers()) == 1 && s.Containers()[0].Starts == 1 })
	s.SetTarget(release(2))
	_ = s.Wait(ctx, func() bool { return len(s.Containers()) == 2 && s.Containers()[1].Starts == 1 })

	client, err := supervisor.NewClient(supervisor.Options{
		Address: "http://127.0.0.1:48484", APIKey: s.APIKey(), Transport: s.Transport(),
	})
	if err != nil {
		panic(err)
	}
	view, err := client.View(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(view.Containers), "containers")
	fmt.Println("the newest is", view.Containers[0].Status)
	// Output:
	// 2 containers
	// the newest is Running
}
