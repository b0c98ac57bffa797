package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handover-controller/handover/controller"
)

// eventsShown is how many of the last events are described; all are in the JSON.
const eventsShown = 30

// describe writes a status for people, as `kubectl describe` would.
func describe(st *controller.Status, p painter) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { writeRow(w, cells) }
	age := func(t time.Time) string { return ago(st.Time.Sub(t)) }

	row("Instance:", st.Instance.ID)
	row("Version:", orUnknown(st.Instance.Version))
	row("Service:", orUnknown(st.Instance.Service)+" (app "+orUnknown(st.Instance.App)+")")
	row("Container:", orUnknown(st.Instance.Container))
	row("Release:", release(int64(st.Instance.Release)))
	row("Phase:", p.phase(st.Phase))
	row("Reason:", string(st.Reason)+": "+st.Message)
	if st.Instance.ToldAt != nil {
		row("Told:", age(*st.Instance.ToldAt)+" ago")
	}
	if st.Instance.HoldEndsAt != nil {
		row("Hold ends:", "in "+ago(st.Instance.HoldEndsAt.Sub(st.Time)))
	}
	if st.Instance.DeferredUntil != nil {
		row("Deferred:", "for another "+ago(st.Instance.DeferredUntil.Sub(st.Time)))
	}
	if st.Failure != "" {
		row("Failure:", p.paint(red, st.Failure))
	}
	row("Workload:", workloadLine(st))
	_ = w.Flush()

	b.WriteString("\nConditions:\n")
	row("  Type", p.paint(plain, "Status"), "Age", "Reason", "Message")
	for _, c := range st.Conditions {
		row("  "+string(c.Type), p.condition(c), age(c.LastTransitionTime), string(c.Reason), c.Message)
	}
	_ = w.Flush()

	b.WriteString("\nPeers:\n")
	if len(st.Peers) == 0 {
		row("  none heard")
	} else {
		row("  Container", "Release", "Age", p.paint(plain, "Phase"), "Told", "Heard", "By")
	}
	for _, o := range st.Peers {
		who, phase := orUnknown(o.Container), o.Phase
		if o.Legacy {
			who = "handover-lib " + o.Address
		}
		if o.Gone {
			phase = "ended"
		}
		row("  "+who, release(int64(o.Release)), o.Age, p.phase(phase), fmt.Sprint(o.Told), age(o.LastHeard)+" ago", strings.Join(o.Ways, ", "))
	}
	_ = w.Flush()

	b.WriteString("\nSupervisor:\n")
	row("  Mode:", st.Supervisor.Mode)
	switch sv := &st.Supervisor; {
	case sv.Mode == "off":
	case sv.Reachable == nil:
		row("  Answer:", "not asked yet")
	case *sv.Reachable:
		row("  Answer:", "asked for "+age(*sv.RequestedAt)+" ago")
	case sv.RequestedAt != nil:
		row("  Answer:", p.paint(yellow, "none now")+", the last one was asked for "+age(*sv.RequestedAt)+" ago")
	default:
		row("  Answer:", p.paint(yellow, "none"))
	}
	if st.Supervisor.Error != "" {
		row("  Error:", st.Supervisor.Error)
	}
	if st.Supervisor.TargetRelease != 0 {
		row("  Target:", strings.TrimSpace(release(st.Supervisor.TargetRelease)+" "+st.Supervisor.TargetCommit))
	}
	_ = w.Flush()
	if len(st.Supervisor.Containers) > 0 {
		row("  Container", "Release", "Status", "Created")
		for _, c := range st.Supervisor.Containers {
			id := c.ID
			if c.Own {
				id += " (this one)"
			}
			row("  "+id, release(c.Release), c.Status, age(c.CreatedAt)+" ago")
		}
		_ = w.Flush()
	}

	b.WriteString("\nEvents:\n")
	events := st.Events[max(0, len(st.Events)-eventsShown):]
	row("  Age", p.paint(plain, "Type"), "Reason", "Message")
	for _, e := range events {
		row("  "+age(e.Time), p.kind(e.Type), string(e.Reason), e.Message)
	}
	_ = w.Flush()
	return b.String()
}

// writeRow and those below are not inlined, for the size of the binary.
func writeRow(w io.Writer, cells []string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }

func workloadLine(st *controller.Status) string {
	switch wl := &st.Workload; {
	case wl.Running && wl.Ready:
		return fmt.Sprintf("process %d, ready", wl.PID)
	case wl.Running:
		return fmt.Sprintf("process %d, not ready", wl.PID)
	case wl.ExitCode != nil:
		return fmt.Sprintf("ended with exit status %d", *wl.ExitCode)
	}
	return "not started"
}

func release(id int64) string {
	if id == 0 {
		return "unknown"
	}
	return fmt.Sprint(id)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// ago rounds a duration to what people want to read.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < 10*time.Minute:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
