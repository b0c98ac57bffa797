package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/handover-controller/handover/supervisor"
)

// An instance asks whether a younger container of its service runs.
func Example() {
	device := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 65b9f418b7e8" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"status":"success","appState":"applying","release":"aaaa","containers":[
			{"status":"Running","serviceName":"main","appId":1234,"imageId":502,"containerId":"64cc3631b67a2a33","createdAt":"2026-11-22T17:56:28.069Z"},
			{"status":"Stopping","serviceName":"main","appId":1234,"imageId":501,"containerId":"cab666f6989acdea","createdAt":"2026-11-22T17:55:28.280Z"}]}`)
	}))
	defer device.Close()

	client, err := supervisor.NewClient(supervisor.Options{
		Address: device.URL,     // BALENA_SUPERVISOR_ADDRESS
		APIKey:  "65b9f418b7e8", // BALENA_SUPERVISOR_API_KEY
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := client.View(context.Background())
	if problem := (*supervisor.Error)(nil); errors.As(err, &problem) {
		fmt.Println("unknown for now:", problem.Kind)
		return
	}
	for _, c := range view.Of("1234", "main") {
		fmt.Println(c.ID[:12], c.Status, "running:", c.Status.Running(), "may serve:", c.Status.MayServe())
	}
	_, listed := view.Find("cab666f6989a")
	fmt.Println("own container listed:", listed)
	// Output:
	// 64cc3631b67a Running running: true may serve: true
	// cab666f6989a Stopping running: false may serve: false
	// own container listed: true
}

// The old instance has released everything, and says so.
func ExampleMarker() {
	folder, err := os.MkdirTemp("", "balena")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	marker := supervisor.NewMarker(filepath.Join(folder, "handover-complete"))
	if err := marker.Check(); err != nil {
		fmt.Println("warning:", err)
	}
	if err := marker.Write(); err != nil {
		fmt.Println(err)
	}
	// A Supervisor up to v14.13.9 now removes it, and stops the old container.
	fmt.Println(marker.Remove())
	fmt.Println(marker.Remove())
	// Output:
	// true <nil>
	// false <nil>
}
