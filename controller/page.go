package controller

import (
	_ "embed" // the page's style and script
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/handover-controller/handover/controller/decide"
)

//go:embed page/page.css
var pageStyle string

//go:embed page/page.js
var pageScript string

// pagePolicy lets the page load nothing from anywhere else. Where the bars stand
// is in style attributes.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (c *Controller) servePage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	st := c.Status()
	_, _ = w.Write([]byte(renderPage(&st))) // the reader may be gone
}

func serveScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(pageScript))
}

// page builds the status page. It is whole without the script, which only
// fetches it again.
type page struct {
	strings.Builder
	now time.Time
}

// text writes with its arguments escaped, for text and for attributes in double
// quotes: what is in them is anybody's.
func (p *page) text(format string, args ...any) {
	for i, a := range args {
		switch a.(type) {
		case int, float64:
		default:
			args[i] = html.EscapeString(fmt.Sprint(a))
		}
	}
	fmt.Fprintf(p, format, args...)
}

func renderPage(st *Status) string {
	p := &page{now: st.Time}
	service := orElse(st.Instance.Service, "service")
	current, last := lastTwo(st.Handovers)
	p.text(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`+
		`<title>%s: %s – handover</title><link rel="icon" href="data:,">`, service, st.Phase)
	p.WriteString("<style>" + pageStyle + "</style></head><body>")
	p.WriteString(`<a class="skip" href="#main">Skip to the status</a><header><p class="brand">handover</p>`)
	p.text(`<p id="live" class="soft"><noscript>Without JavaScript this stays as of %s; <a href="./">load it again</a>.</noscript></p></header>`, p.clock(st.Time))
	p.WriteString(`<p id="said" class="unseen" role="status"></p><main id="main" tabindex="-1"`)
	if current != nil {
		p.WriteString(` data-moves`)
	}
	p.text(`><h1>%s <span class="badge %s">%s</span></h1><p id="why" class="lead">%s.</p>`, service, st.Phase, st.Phase, upper(orElse(st.Message, "it begins")))
	if st.Failure != "" {
		p.text(`<p class="bad">handover itself has failed, nothing is decided any more: %s</p>`, st.Failure)
	}
	if current != nil {
		p.handover(current, st)
	}
	if last != nil {
		p.handover(last, st)
	}
	if current == nil && last == nil {
		p.WriteString(`<section><h2>Hand-overs</h2><p class="soft">This instance has seen none since its start.</p></section>`)
	}
	p.conditions(st)
	p.instance(st)
	p.peers(st)
	p.supervisor(st)
	p.events(st)
	p.text(`</main><footer class="soft"><p>As of <span id="asof">%s</span>. The same as data: <a href="./status">status</a>, <a href="./metrics">metrics</a>.</p></footer>`, p.clock(st.Time))
	p.WriteString(`<script src="./page.js" defer></script></body></html>`)
	return p.String()
}

// lastTwo returns the hand-over that is under way and the last one that is over.
func lastTwo(all []Handover) (current, last *Handover) {
	for i := range all {
		if all[i].Ended == nil {
			current = &all[i]
		} else {
			last = &all[i]
		}
	}
	return current, last
}

func (p *page) clock(t time.Time) string { return t.Format("15:04:05.000 MST") }

// ago is how long before now something was, to be read by people.
func (p *page) ago(t time.Time) string {
	d := p.now.Sub(t)
	if d < 0 {
		return "in " + lasting(-d)
	}
	return lasting(d)
}

// lasting writes a duration in words that do not need more digits than matter.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

func (p *page) instance(st *Status) {
	p.WriteString(`<section><h2>This instance</h2><dl>`)
	row := func(name, value string) { p.text("<div><dt>%s</dt><dd>%s</dd></div>", name, value) }
	row("Container", orElse(st.Instance.Container, "unknown"))
	if st.Instance.Release != 0 {
		row("Release", strconv.FormatUint(st.Instance.Release, 10))
	}
	row("App", orElse(st.Instance.App, "unknown"))
	switch w := &st.Workload; {
	case w.Running && w.Started != nil && w.Ready:
		row("Workload", fmt.Sprintf("ready, process %d, for %s", w.PID, p.ago(*w.Started)))
	case w.Running && w.Started != nil:
		row("Workload", fmt.Sprintf("not ready, process %d, for %s", w.PID, p.ago(*w.Started)))
	case w.ExitCode != nil:
		row("Workload", fmt.Sprintf("ended with exit status %d", *w.ExitCode))
	default:
		row("Workload", "not started")
	}
	if t := st.Instance.ToldAt; t != nil {
		row("Told to stop", p.ago(*t)+" ago")
	}
	if t := st.Instance.HoldEndsAt; t != nil {
		row("The hold must end", p.ago(*t))
	}
	if t := st.Instance.DeferredUntil; t != nil {
		row("Deferred until", p.clock(*t))
	}
	if st.Instance.Version != "" {
		row("Version of handover", st.Instance.Version)
	}
	p.WriteString("</dl></section>")
}

func (p *page) conditions(st *Status) {
	p.WriteString("<section><h2>Conditions</h2>")
	p.table("conditions", "Conditions", []string{"Condition", "Status", "For", "Reason", "Message"}, func(row func(cells ...string)) {
		for i := range st.Conditions {
			c := &st.Conditions[i]
			sign := "? "
			switch c.Status {
			case decide.True:
				sign = "✓ "
			case decide.False:
				sign = "– "
			}
			row(string(c.Type), sign+string(c.Status), p.ago(c.LastTransitionTime), string(c.Reason), c.Message)
		}
	})
	p.WriteString("</section>")
}

func (p *page) peers(st *Status) {
	p.WriteString("<section><h2>Other instances</h2>")
	if len(st.Peers) == 0 {
		p.WriteString(`<p class="soft">None is heard.</p></section>`)
		return
	}
	p.table("peers", "Other instances", []string{"Container", "Age", "Phase", "Last heard", "By"}, func(row func(cells ...string)) {
		for i := range st.Peers {
			o := &st.Peers[i]
			who := orElse(o.Container, "unknown")
			if o.Legacy {
				who = "handover-lib at " + o.Address
			}
			phase := o.Phase
			if o.Told {
				phase += ", told to stop"
			}
			if o.Gone {
				phase = "ended"
			}
			row(who, o.Age, phase, p.ago(o.LastHeard)+" ago", strings.Join(o.Ways, ", "))
		}
	})
	p.WriteString("</section>")
}

func (p *page) supervisor(st *Status) {
	sv := &st.Supervisor
	p.WriteString("<section><h2>Supervisor</h2>")
	switch {
	case sv.Mode == "off":
		p.WriteString(`<p>It is not asked: supervisor.mode is off.</p>`)
	case sv.Error != "":
		p.text(`<p class="bad">%s</p>`, sv.Error)
	case sv.RequestedAt == nil:
		p.WriteString(`<p class="soft">It has not answered yet.</p>`)
	}
	if sv.RequestedAt != nil {
		p.text(`<p class="soft">Its last answer was asked for %s ago.</p>`, p.ago(*sv.RequestedAt))
	}
	if len(sv.Containers) > 0 {
		p.table("containers", "The service’s containers", []string{"Container", "Status", "Release", "Created"}, func(row func(cells ...string)) {
			for i := range sv.Containers {
				c := &sv.Containers[i]
				id := c.ID
				if c.Own {
					id += " (this one)"
				}
				release := "unknown"
				if c.Release != 0 {
					release = strconv.FormatInt(c.Release, 10)
				}
				row(id, c.Status, release, p.ago(c.CreatedAt)+" ago")
			}
		})
	}
	p.WriteString("</section>")
}

func (p *page) events(st *Status) {
	p.WriteString(`<section><h2>Events</h2>`)
	p.table("events", "Events, the last one first", []string{"Time", "Phase", "Reason", "Message"}, func(row func(cells ...string)) {
		for i := len(st.Events) - 1; i >= 0; i-- {
			e := &st.Events[i]
			reason := string(e.Reason)
			if e.Type == "Warning" {
				reason = "⚠ " + reason
			}
			row(p.clock(e.Time), e.Phase, reason, e.Message)
		}
	})
	p.WriteString("</section>")
}

// table writes a table that can be scrolled by itself, with the keyboard too.
func (p *page) table(id, caption string, head []string, rows func(row func(cells ...string))) {
	class := "scroll"
	if head[len(head)-1] == "Message" {
		class += " wide"
	}
	p.text(`<div class="%s" id="%s" role="region" aria-label="%s" tabindex="0"><table><caption class="unseen">%s</caption><thead><tr>`, class, id, caption, caption)
	for _, cell := range head {
		p.text(`<th scope="col">%s</th>`, cell)
	}
	p.WriteString("</tr></thead><tbody>")
	rows(func(cells ...string) {
		p.WriteString("<tr>")
		for i, cell := range cells {
			if i == 0 {
				p.text(`<th scope="row">%s</th>`, cell)
			} else {
				p.text("<td>%s</td>", cell)
			}
		}
		p.WriteString("</tr>")
	})
	p.WriteString("</tbody></table></div>")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// upper makes a message the beginning of a sentence.
func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
