package workload

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestListensLate is no Ginkgo suite: it needs a bubble of virtual time.
func TestListensLate(t *testing.T) {
	for listens, want := range map[time.Duration]struct{ noticed, asked time.Duration }{
		7 * time.Second:   {noticed: 8400 * time.Millisecond},
		61 * time.Second:  {noticed: 74 * time.Second},
		119 * time.Second: {noticed: 143 * time.Second},
		time.Hour:         {asked: 144 * time.Second}, // idle from then on
	} {
		t.Run(listens.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r := &run{started: began}
				rd := Readiness{Period: 500 * time.Millisecond, Timeout: time.Second}
				time.Sleep(2 * time.Second) // taken for ready by then
				var last time.Duration
				_, ok := r.listensLate(context.Background(), rd, func(context.Context) (string, error) {
					if last = time.Since(began); last < listens {
						return "", errNotListening
					}
					return "", nil
				})
				switch {
				case ok != (want.noticed > 0):
					t.Errorf("noticed: %v", ok)
				case ok && (last < listens || last > want.noticed):
					t.Errorf("noticed at %v, not by %v", last, want.noticed)
				case !ok && last > want.asked:
					t.Errorf("asked for the last time at %v", last)
				}
			})
		})
	}
}

// TestListensLateEnds: with the run.
func TestListensLateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 2500*time.Millisecond)
		defer cancel()
		r := &run{started: time.Now()}
		asked := 0
		_, ok := r.listensLate(ctx, Readiness{Period: time.Second, Timeout: time.Second}, func(context.Context) (string, error) {
			asked++
			return "", errors.New("not yet")
		})
		if ok || asked != 2 {
			t.Errorf("listens: %v, asked %d times", ok, asked)
		}
	})
}
