package workload

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestOverdue is no Ginkgo suite: it needs a bubble of virtual time.
func TestOverdue(t *testing.T) {
	type line struct {
		after  time.Duration
		reason string
	}
	for name, story := range map[string]struct {
		tell func(o *overdue, wait func(time.Duration))
		want []line
	}{
		"a slow start says nothing": {
			func(o *overdue, wait func(time.Duration)) {
				o.because("refused")
				wait(4 * time.Second)
				o.over()
				wait(time.Hour)
			}, nil,
		},
		"the same reason is said once": {
			func(o *overdue, wait func(time.Duration)) {
				for range 1000 {
					o.because("404")
					wait(500 * time.Millisecond)
				}
			}, []line{{5 * time.Second, "404"}},
		},
		"nothing has to be heard for it": {
			func(o *overdue, wait func(time.Duration)) {
				o.because("no such file")
				wait(time.Hour)
			}, []line{{5 * time.Second, "no such file"}},
		},
		"another reason is said, later": {
			func(o *overdue, wait func(time.Duration)) {
				o.because("refused")
				wait(6 * time.Second)
				o.because("503")
				wait(time.Minute)
				o.because("404")
				wait(time.Hour)
			}, []line{{5 * time.Second, "refused"}, {35 * time.Second, "503"}, {95 * time.Second, "404"}},
		},
		"reasons that alternate are said less and less often": {
			func(o *overdue, wait func(time.Duration)) {
				for i := range 7200 {
					o.because([]string{"503", "no answer in time", "refused"}[i%3])
					wait(500 * time.Millisecond)
				}
			}, make([]line, 10),
		},
		"what others said is not said again": {
			func(o *overdue, wait func(time.Duration)) {
				o.lost("refused")
				o.because("refused")
				wait(time.Hour)
				o.over()
				o.because("refused")
				wait(time.Minute)
			}, []line{{time.Hour + 5*time.Second, "refused"}},
		},
		"nothing is said after the end": {
			func(o *overdue, wait func(time.Duration)) {
				o.because("refused")
				o.stop()
				o.because("503")
				wait(time.Hour)
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var got []line
				o := newOverdue(func(reason string) { got = append(got, line{time.Since(began), reason}) })
				story.tell(o, func(d time.Duration) { time.Sleep(d); synctest.Wait() })
				if len(got) != len(story.want) {
					t.Fatalf("said %v, want %v", got, story.want)
				}
				for i, want := range story.want {
					if want != (line{}) && got[i] != want {
						t.Errorf("said %v, want %v", got, story.want)
					}
				}
			})
		})
	}
}
