package controller

import (
	"fmt"
	"strconv"
	"time"
)

// picture is the part of time that is drawn of a hand-over.
type picture struct {
	from, to time.Time
	quiet    time.Duration // for so long nothing changed, and that is not drawn
}

// frame chooses what to draw: everything, with a little before it; but not the
// hours in which an instance that has released waits for its end.
func frame(h *Handover, now time.Time) picture {
	first, last, to := h.Began, h.Began, now
	if h.Ended != nil {
		to = *h.Ended
	}
	seen := func(t time.Time) {
		if t.Before(first) && first.Sub(t) < time.Minute {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	for i := range h.Lanes {
		for _, s := range h.Lanes[i].Spans {
			if s.From.After(first) {
				seen(s.From)
			}
			if s.To != nil {
				seen(*s.To)
			}
		}
	}
	for _, m := range h.Marks {
		if h.Ended == nil || !m.Time.After(*h.Ended) {
			seen(m.Time)
		}
	}
	pic := picture{from: first, to: to}
	if last.After(to) {
		pic.to = last
	} else if shown := max(30*time.Second, 2*last.Sub(first)); h.Ended == nil && to.Sub(last) > shown {
		pic.to, pic.quiet = last.Add(shown), to.Sub(last)
	}
	length := max(pic.to.Sub(pic.from), time.Second)
	pic.to = pic.from.Add(length)
	pic.from = pic.from.Add(-length / 25)
	return pic
}

// at is where a time is, in percent of the width.
func (p *picture) at(t time.Time) float64 {
	return min(100, max(0, 100*float64(t.Sub(p.from))/float64(p.to.Sub(p.from))))
}

// ticks are the times at which the axis has a number: at most seven, counted
// from the beginning of the hand-over.
func (p *picture) ticks(began time.Time) []time.Duration {
	const s, m, h = time.Second, time.Minute, time.Hour
	step := 24 * h
	for _, one := range []time.Duration{
		s / 10, s / 5, s / 2, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 6 * h, 12 * h,
	} {
		if p.to.Sub(p.from) <= 6*one {
			step = one
			break
		}
	}
	for p.to.Sub(p.from) > 6*step {
		step *= 2
	}
	var all []time.Duration
	for d := p.from.Sub(began).Truncate(step); d <= p.to.Sub(began); d += step {
		if d >= p.from.Sub(began) {
			all = append(all, d)
		}
	}
	return all
}

// handover draws one hand-over, and says the same in words.
func (p *page) handover(h *Handover, st *Status) {
	// The id stays the same when the hand-over ends: what is open and has the focus
	// stays so.
	id := "h" + strconv.FormatInt(h.Began.UnixMilli(), 36)
	pic := frame(h, st.Time)
	p.text(`<section id="%s" aria-labelledby="%s-title"><h2 id="%s-title">%s</h2><p class="soft">From %s, `, id, id, id, h.title(st), p.clock(h.Began))
	if h.Ended != nil {
		p.text(`for %s.</p>`, lasting(h.Ended.Sub(h.Began)))
	} else {
		p.text(`for %s so far.`, lasting(st.Time.Sub(h.Began)))
		if pic.quiet > 0 {
			p.text(` Nothing has changed for %s; most of that is not drawn.`, lasting(pic.quiet))
		}
		p.WriteString("</p>")
	}
	p.text(`<div class="timeline" id="%s-picture" role="img" aria-label="Timeline. The same is said by the list and the table below.">`, id)
	told := false
	for i := range h.Lanes {
		told = p.lane(h, i, &pic, st) || told
	}
	p.WriteString(`<div class="axis"><div class="track">`)
	for _, t := range pic.ticks(h.Began) {
		x := pic.at(h.Began.Add(t))
		class := ""
		if x > 92 {
			class = ` class="last"`
		}
		p.text(`<span`+class+` style="left:%.2f%%">%s</span>`, x, tick(t))
	}
	p.WriteString(`</div></div></div>`)
	if told {
		p.WriteString(`<p class="soft small"><span class="swatch told"></span> Hatched: told to stop.</p>`)
	}
	p.marks(h, id)
	p.text(`<details id="%s-list"><summary>Who said what, as a table</summary>`, id)
	p.table(id+"-table", "Who said what", []string{"Instance", "Phase", "From", "For"}, func(row func(cells ...string)) {
		for i := range h.Lanes {
			l := &h.Lanes[i]
			for _, s := range l.Spans {
				lasted := "until now"
				if s.To != nil {
					lasted = lasting(s.To.Sub(s.From))
				}
				row(l.name()+", "+l.role(), s.words(), p.clock(s.From), lasted)
			}
		}
	})
	p.WriteString(`</details></section>`)
}

// title says what it is, in the words of who looks at it now.
func (h *Handover) title(st *Status) string {
	switch {
	case len(h.Lanes) == 1 && h.Ended == nil && st.Phase == "holding":
		return "Told to stop, no other instance is heard yet"
	case len(h.Lanes) == 1:
		return "A stop without a successor"
	case h.Ended == nil:
		return "Hand-over under way"
	}
	return "Last hand-over"
}

// lane draws one instance. It reports whether a bar is hatched.
func (p *page) lane(h *Handover, i int, pic *picture, st *Status) (told bool) {
	l := &h.Lanes[i]
	release := l.Release
	if release == 0 && l.Own {
		release = st.Instance.Release
	}
	about := l.role()
	if release != 0 {
		about += ", release " + strconv.FormatUint(release, 10)
	}
	p.text(`<div class="lane"><div class="who"><b>%s</b> <span class="soft">%s</span></div>`, l.name(), about)
	rows := flagRows(h, i, pic)
	most := 0
	for _, r := range rows {
		most = max(most, r+1)
	}
	p.text(`<div class="track" style="padding-top:%.1frem">`, 1.2*float64(most))
	for _, t := range pic.ticks(h.Began) {
		p.text(`<div class="tick" style="left:%.2f%%"></div>`, pic.at(h.Began.Add(t)))
	}
	p.WriteString(`<div class="bars">`)
	for _, s := range l.Spans {
		from, end := s.From, st.Time
		if s.To != nil {
			end = *s.To
		}
		if !end.After(pic.from) || !from.Before(pic.to) {
			continue
		}
		class := s.Phase
		if s.Told {
			class += " told"
			told = true
		}
		p.text(`<div class="span %s" style="left:%.2f%%;width:%.2f%%" title="%s for %s"><b>%s</b></div>`,
			class, pic.at(from), pic.at(end)-pic.at(from), s.words(), lasting(end.Sub(from)), s.Phase)
	}
	p.WriteString(`</div>`)
	if h.Ended == nil && pic.to.After(st.Time) {
		p.text(`<div class="now" style="left:%.2f%%"></div>`, pic.at(st.Time))
	}
	for n, m := range h.Marks {
		if row, ok := rows[n]; ok {
			class, x := string(m.Kind), pic.at(m.Time)
			if x > 95 {
				class += " end"
			}
			p.text(`<div class="mark %s" style="left:%.2f%%;top:%.1frem"><i>%d</i></div>`, class, x, 1.2*float64(row), n+1)
		}
	}
	p.WriteString(`</div></div>`)
	return told
}

// flagRows puts the numbers of marks that are close to each other below each
// other; by the marks' indices.
func flagRows(h *Handover, lane int, pic *picture) map[int]int {
	const apart, atMost = 7.0, 6 // percent of the width: a number's on a phone
	rows := map[int]int{}
	var ends []float64
	for n, m := range h.Marks {
		if m.Lane != lane || h.Ended != nil && m.Time.After(*h.Ended) {
			continue
		}
		x, row := pic.at(m.Time), 0
		for row < len(ends) && x < ends[row] {
			row++
		}
		if row == len(ends) {
			ends = append(ends, 0)
		}
		ends[row] = x + apart
		rows[n] = min(row, atMost-1)
	}
	return rows
}

// marks lists the marks in words.
func (p *page) marks(h *Handover, id string) {
	if len(h.Marks) == 0 {
		return
	}
	p.text(`<ol class="marks" role="list" aria-label="What happened" id="%s-marks">`, id)
	for n, m := range h.Marks {
		who := ""
		if m.Lane > 0 && m.Lane < len(h.Lanes) {
			who = h.Lanes[m.Lane].name() + ": "
		}
		class := string(m.Kind)
		if m.Lost {
			class += " lost"
		}
		p.text(`<li><i class="%s">%d</i><span class="when">%s</span><span><b>%s</b> <span class="soft">%s%s</span></span></li>`,
			class, n+1, offset(m.Time.Sub(h.Began)), m.title(), who, m.Text)
	}
	p.WriteString(`</ol>`)
}

// tick writes a time on the axis.
func tick(d time.Duration) string {
	sign, size := "+", d
	if d < 0 {
		sign, size = "−", -d
	}
	switch {
	case d == 0:
		return "0"
	case size%time.Hour == 0:
		return fmt.Sprintf("%s%d h", sign, size/time.Hour)
	case size%time.Minute == 0:
		return fmt.Sprintf("%s%d min", sign, size/time.Minute)
	}
	return sign + strconv.FormatFloat(size.Seconds(), 'f', -1, 64) + " s"
}

// offset is a time relative to the beginning of a hand-over.
func offset(d time.Duration) string {
	if d < 0 && d > -time.Minute {
		return fmt.Sprintf("−%.2f s", -d.Seconds())
	}
	if d < time.Minute {
		return fmt.Sprintf("+%.2f s", d.Seconds())
	}
	return "+" + lasting(d)
}

func (l *Lane) name() string {
	switch {
	case l.Legacy:
		return "handover-lib"
	case l.Container != "":
		return l.Container
	}
	return "container unknown"
}

// role is what the instance is to this one.
func (l *Lane) role() string {
	switch {
	case l.Own:
		return "this one"
	case l.Age == "unknown":
		return "age unknown"
	}
	return l.Age
}

func (s *Span) words() string {
	if s.Told {
		return s.Phase + ", told to stop"
	}
	return s.Phase
}

// title says what a mark is.
func (m *Mark) title() string {
	name := string(m.Kind)
	switch m.Kind {
	case MarkAnnounced:
		name = "Signal: announced"
	case MarkRunning:
		name = "Signal: running"
	case MarkTold:
		name = "SIGTERM"
	case MarkHoldEnds:
		name = "End of the hold"
	case MarkDeferred:
		name = "End of the deferral"
	case MarkStopSignal:
		name = "Stop signal"
	case MarkReleased:
		name = "Released"
	case MarkMarker:
		name = "Marker"
	}
	if m.Lost {
		name += ", lost again"
	}
	return name
}
