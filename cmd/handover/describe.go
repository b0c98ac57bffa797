package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handover-controller/handover/controller"
)

// describe writes a status for people, as `kubectl describe` would.
func describe(st *controller.Status) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	age := func(t time.Time) string { return ago(st.Time.Sub(t)) }

	row("Instance:", st.Instance.ID)
	row("Service:", orUnknown(st.Instance.Service)+" (app "+orUnknown(st.Instance.App)+")")
	row("Container:", orUnknown(st.Instance.Container))
	row("Release:", release(int64(st.Instance.Release)))
	row("Phase:", st.Phase)
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
		row("Failure:", st.Failure)
	}
	row("Workload:", workloadLine(st))
	_ = w.Flush()

	b.WriteString("\nConditions:\n")
	row("  Type", "Status", "Age", "Reason", "Message")
	for _, c := range st.Conditions {
		row("  "+string(c.Type), string(c.Status), age(c.LastTransitionTime), string(c.Reason), c.Message)
	}
	_ = w.Flush()

	b.WriteString("\nPeers:\n")
	if len(st.Peers) == 0 {
		row("  none heard")
	} else {
		row("  Container", "Release", "Age", "Phase", "Told", "Heard", "By")
	}
	for _, p := range st.Peers {
		who := orUnknown(p.Container)
		if p.Legacy {
			who = "handover-lib " + p.Address
		}
		row("  "+who, release(int64(p.Release)), p.Age, p.Phase, fmt.Sprint(p.Told), age(p.LastHeard)+" ago", strings.Join(p.Ways, ", "))
	}
	_ = w.Flush()

	b.WriteString("\nSupervisor:\n")
	row("  Mode:", st.Supervisor.Mode)
	switch sv := &st.Supervisor; {
	case sv.Mode == "off":
	case sv.Reachable == nil:
		row("  Answer:", "not asked yet")
	case *sv.Reachable:
		row("  Answer:", "asked "+age(*sv.RequestedAt)+" ago")
	case sv.RequestedAt != nil:
		row("  Answer:", "none now, the last one was asked for "+age(*sv.RequestedAt)+" ago")
	default:
		row("  Answer:", "none")
	}
	if st.Supervisor.Error != "" {
		row("  Error:", st.Supervisor.Error)
	}
	if st.Supervisor.TargetRelease != 0 {
		row("  Target:", release(st.Supervisor.TargetRelease))
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
	row("  Age", "Type", "Reason", "Message")
	for _, e := range st.Events {
		row("  "+age(e.Time), e.Type, string(e.Reason), e.Message)
	}
	_ = w.Flush()
	return b.String()
}

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
