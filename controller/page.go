package controller

import (
	_ "embed" // the page's style and script
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"
)

//go:embed page/page.css
var pageStyle string

//go:embed page/page.js
var pageScript string

// pagePolicy lets the page load nothing from anywhere else.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (c *Controller) servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	st := c.Status()
	_, _ = w.Write([]byte(renderPage(&st))) // the reader may be gone
}

func serveScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(pageScript))
}

// page builds the status page: a picture without the script, which only fetches
// it again.
type page struct {
	strings.Builder
	now time.Time
}

// text writes with its arguments escaped; strings among them are anybody's.
func (p *page) text(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = html.EscapeString(s)
		}
	}
	fmt.Fprintf(p, format, args...)
}

func renderPage(st *Status) string {
	p := &page{now: st.Time}
	service := orElse(st.Instance.Service, "service")
	headline := service + " is " + st.Phase + ": " + st.Message
	current, last := lastTwo(st.Handovers)
	p.text(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`+
		`<title>%s · %s · handover</title><link rel="icon" href="data:,">`, st.Phase, service)
	p.WriteString("<style>" + pageStyle + "</style></head><body>")
	p.WriteString(`<a class="skip" href="#main">Skip to the status</a><header><h1>handover</h1><p id="live" role="status" aria-live="polite" class="soft"></p></header>`)
	p.text(`<main id="main" data-headline="%s"`, headline)
	if current != nil {
		p.WriteString(" data-current")
	}
	p.WriteString(">")
	p.instance(st)
	if current != nil {
		p.handover("current", "Hand-over under way", current, st)
	}
	if last != nil {
		p.handover("last", "Last hand-over", last, st)
	}
	if current == nil && last == nil {
		p.WriteString(`<h2>Hand-overs</h2><p class="soft">This instance has seen none.</p>`)
	}
	p.conditions(st)
	p.peers(st)
	p.supervisor(st)
	p.events(st)
	p.text(`</main><footer class="soft"><p>As of %s. As data: <a href="./status">status</a>, <a href="./metrics">metrics</a>.</p></footer>`, p.clock(st.Time))
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
	switch {
	case d < 0:
		return "in " + (-d).Round(time.Second).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func (p *page) instance(st *Status) {
	p.text(`<h2>This instance</h2><p><span class="badge %s">%s</span> %s</p>`, st.Phase, st.Phase, st.Message)
	if st.Failure != "" {
		p.text(`<p class="bad">%s</p>`, st.Failure)
	}
	p.WriteString("<dl>")
	row := func(name, value string) { p.text("<dt>%s</dt><dd>%s</dd>", name, value) }
	row("Service", orElse(st.Instance.Service, "unknown")+" (app "+orElse(st.Instance.App, "unknown")+")")
	row("Container", orElse(st.Instance.Container, "unknown"))
	if st.Instance.Release != 0 {
		row("Release", fmt.Sprint(st.Instance.Release))
	}
	if t := st.Instance.ToldAt; t != nil {
		row("Told to stop", p.ago(*t)+" ago")
	}
	if t := st.Instance.HoldEndsAt; t != nil {
		row("Hold must end", p.ago(*t))
	}
	if t := st.Instance.DeferredUntil; t != nil {
		row("Deferred until", p.clock(*t))
	}
	switch w := &st.Workload; {
	case w.Running && w.Ready:
		row("Workload", fmt.Sprintf("ready, process %d, for %s", w.PID, p.ago(*w.Started)))
	case w.Running:
		row("Workload", fmt.Sprintf("not ready, process %d, for %s", w.PID, p.ago(*w.Started)))
	case w.ExitCode != nil:
		row("Workload", fmt.Sprintf("ended with exit status %d", *w.ExitCode))
	default:
		row("Workload", "not started")
	}
	p.WriteString("</dl>")
}

// handover draws one hand-over, and says the same in words.
func (p *page) handover(id, title string, h *Handover, st *Status) {
	from, to := h.Began, st.Time
	if h.Ended != nil {
		to = *h.Ended
	}
	for i := range h.Lanes {
		for _, s := range h.Lanes[i].Spans {
			if own := s.From.Add(-time.Second); i == 0 && s.From.After(from) && own.Before(from) {
				from = own
			}
		}
	}
	for _, m := range h.Marks {
		if m.Time.After(to) {
			to = m.Time
		}
		if m.Time.Before(from) {
			from = m.Time
		}
	}
	length := max(to.Sub(from), time.Second)
	at := func(t time.Time) float64 { return min(100, max(0, 100*float64(t.Sub(from))/float64(length))) }

	p.text(`<section aria-labelledby="%s"><h2 id="%s">%s</h2><p class="soft">From %s, `, id, id, title, p.clock(h.Began))
	if h.Ended != nil {
		p.text(`for %s.</p>`, h.Ended.Sub(h.Began).Round(time.Millisecond).String())
	} else {
		p.text(`for %s so far.</p>`, p.ago(h.Began))
	}
	p.WriteString(`<div class="timeline" aria-hidden="true">`)
	for i := range h.Lanes {
		l := &h.Lanes[i]
		p.text(`<div class="lane"><div class="who">%s</div><div class="track">`, l.name())
		for _, s := range l.Spans {
			end := to
			if s.To != nil {
				end = *s.To
			} else if h.Ended == nil {
				end = st.Time
			}
			told := ""
			if s.Told {
				told = " told"
			}
			p.text(`<div class="span %s%s" style="left:%.2f%%;width:%.2f%%" title="%s"><b>%s</b></div>`,
				s.Phase, told, at(s.From), at(end)-at(s.From), s.Phase+", "+end.Sub(s.From).Round(time.Millisecond).String(), s.Phase)
		}
		for n, m := range h.Marks {
			if m.Lane == i {
				first := ""
				if m.Kind == "told" || m.Kind == "marker" {
					first = " first"
				}
				p.text(`<div class="mark%s" style="left:%.2f%%"><i>%d</i></div>`, first, at(m.Time), n+1)
			}
		}
		p.WriteString(`</div></div>`)
	}
	p.WriteString(`<div class="axis">`)
	for i := range 5 {
		t := from.Add(length * time.Duration(i) / 4)
		p.text(`<span style="left:%d%%">%s</span>`, i*25, offset(t.Sub(h.Began)))
	}
	p.WriteString(`</div></div>`)
	if len(h.Marks) > 0 {
		p.WriteString(`<ol class="marks">`)
		for _, m := range h.Marks {
			p.text(`<li>%s: %s <span class="soft">(%s)</span></li>`, m.title(), m.Text, offset(m.Time.Sub(h.Began)))
		}
		p.WriteString(`</ol>`)
	}
	p.text(`<details id="%s-list"><summary id="%s-summary">Who said what, as a table</summary>`, id, id)
	p.table(id+"-table", title+": who said what", []string{"Instance", "Phase", "From", "For"}, func(row func(cells ...string)) {
		for i := range h.Lanes {
			for _, s := range h.Lanes[i].Spans {
				lasted := "until now"
				if s.To != nil {
					lasted = s.To.Sub(s.From).Round(time.Millisecond).String()
				}
				phase := s.Phase
				if s.Told {
					phase += ", told to stop"
				}
				row(h.Lanes[i].name(), phase, p.clock(s.From), lasted)
			}
		}
	})
	p.WriteString(`</details></section>`)
}

// offset is a time relative to the beginning of a hand-over.
func offset(d time.Duration) string {
	return fmt.Sprintf("%+.1f s", d.Seconds())
}

func (l *Lane) name() string {
	name := orElse(l.Container, "handover "+l.Instance[:min(8, len(l.Instance))])
	if l.Legacy {
		name = "handover-lib"
	}
	if l.Release != 0 {
		name += fmt.Sprintf(", release %d", l.Release)
	}
	if l.Own {
		return name + " (this one)"
	}
	if l.Age == "unknown" {
		return name
	}
	return name + " (" + l.Age + ")"
}

// title says what a mark is.
func (m *Mark) title() string {
	titles := map[string]string{
		"announced": "First signal, announced", "running": "Second signal, running", "told": "SIGTERM", "holdEnds": "End of the hold",
		"deferred": "Deferral", "stopSignal": "Stop signal", "released": "Released", "marker": "Marker",
	}
	if m.Lost {
		return titles[m.Kind] + ", lost"
	}
	return titles[m.Kind]
}

func (p *page) conditions(st *Status) {
	p.WriteString("<h2>Conditions</h2>")
	p.table("conditions", "Conditions", []string{"Type", "Status", "Reason", "Age", "Message"}, func(row func(cells ...string)) {
		for _, c := range st.Conditions {
			row(string(c.Type), string(c.Status), string(c.Reason), p.ago(c.LastTransitionTime), c.Message)
		}
	})
}

func (p *page) peers(st *Status) {
	p.WriteString("<h2>Other instances</h2>")
	if len(st.Peers) == 0 {
		p.WriteString(`<p class="soft">None is heard.</p>`)
		return
	}
	p.table("peers", "Other instances", []string{"Container", "Age", "Phase", "Heard", "By"}, func(row func(cells ...string)) {
		for _, o := range st.Peers {
			who := orElse(o.Container, "unknown")
			if o.Legacy {
				who = "handover-lib " + o.Address
			}
			phase := o.Phase
			if o.Told {
				phase += ", told to stop"
			}
			row(who, o.Age, phase, p.ago(o.LastHeard)+" ago", strings.Join(o.Ways, ", "))
		}
	})
}

func (p *page) supervisor(st *Status) {
	p.WriteString("<h2>Supervisor</h2>")
	sv := &st.Supervisor
	switch {
	case sv.Mode == "off":
		p.WriteString(`<p>It is not asked: supervisor.mode is off.</p>`)
		return
	case sv.Error != "":
		p.text(`<p class="bad">%s</p>`, sv.Error)
	case sv.RequestedAt == nil:
		p.WriteString(`<p class="soft">It has not answered yet.</p>`)
	}
	if sv.RequestedAt != nil {
		p.text(`<p class="soft">Its last answer was asked for %s ago.</p>`, p.ago(*sv.RequestedAt))
	}
	if len(sv.Containers) > 0 {
		p.table("containers", "Containers", []string{"Container", "Status", "Release", "Created"}, func(row func(cells ...string)) {
			for _, c := range sv.Containers {
				id := c.ID
				if c.Own {
					id += " (this one)"
				}
				release := "unknown"
				if c.Release != 0 {
					release = fmt.Sprint(c.Release)
				}
				row(id, c.Status, release, p.ago(c.CreatedAt)+" ago")
			}
		})
	}
}

func (p *page) events(st *Status) {
	p.WriteString(`<h2>Events</h2>`)
	p.table("events", "Events, the last one first", []string{"Time", "Reason", "Message"}, func(row func(cells ...string)) {
		for i := len(st.Events) - 1; i >= 0; i-- {
			e := &st.Events[i]
			reason := string(e.Reason)
			if e.Type == "Warning" {
				reason += " (warning)"
			}
			row(p.clock(e.Time), reason, e.Message)
		}
	})
}

// table writes a table that can be scrolled by itself, with the keyboard too.
func (p *page) table(id, caption string, head []string, rows func(row func(cells ...string))) {
	p.text(`<div class="scroll" id="%s" role="region" aria-label="%s" tabindex="0"><table><thead><tr>`, id, caption)
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
