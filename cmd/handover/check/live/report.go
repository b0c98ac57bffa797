package live

import (
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// report collects findings. Its methods are not inlined: there are a hundred
// calls of them, and they would be the largest part of this package.
type report struct{ findings check.Report }

// fill puts the arguments in the places of %s. They are strings, all of them:
// those of fmt take more room at each call than the sentence around them.
func fill(format string, args []string) string {
	var b strings.Builder
	for _, arg := range args {
		before, after, _ := strings.Cut(format, "%s")
		b.WriteString(before)
		b.WriteString(arg)
		format = after
	}
	b.WriteString(format)
	return b.String()
}

// finding is one that was added just now.
type finding struct{ *check.Finding }

func (r *report) add(level check.Level, about name, format string, args ...string) finding {
	r.findings.Add(check.Finding{Level: level, Check: string(about), Found: fill(format, args)})
	return finding{&r.findings[len(r.findings)-1]}
}

func (r *report) ok(about name, format string, args ...string) {
	r.add(check.OK, about, format, args...)
}

func (r *report) note(about name, format string, args ...string) {
	r.add(check.Note, about, format, args...)
}

func (r *report) warn(about name, format string, args ...string) finding {
	return r.add(check.Warning, about, format, args...)
}

func (r *report) fail(about name, format string, args ...string) finding {
	return r.add(check.Error, about, format, args...)
}

// because says why it matters, and what to do.
func (f finding) because(why, do string) { f.Why, f.Do = why, do }

// late is for what was not over in time.
func (r *report) late(about name, what string) {
	r.warn(about, "%s did not answer in time", what).because(
		"handover would wait for it as well: it looks there when it starts, and during a hand-over",
		"check the file system and the load of the device, then run handover check again")
}
