package controller_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/html"

	. "github.com/handover-controller/handover/controller"
	"github.com/handover-controller/handover/controller/decide"
	"github.com/handover-controller/handover/peer"
)

// handedOver is the status of an instance that has released, at a time.
func handedOver() Status {
	t := newTale().after(time.Hour, youngerStarts)
	t.after(3*time.Second, is(peer.PhaseServing), answers(otherListed("Running"), ownListed("Running")))
	t.after(2*time.Second, works(false, true)).after(100 * time.Millisecond)
	return Status{
		Time: t.Now.Add(time.Second), Phase: "released", Reason: decide.ReasonReleased, Message: "a younger instance serves",
		Instance: InstanceStatus{Container: "aaaaaaaaaaaa", App: "1234", Service: "main"}, Handovers: t.said,
		Supervisor: SupervisorStatus{Mode: "required"},
	}
}

// parsed is the page as a browser reads it.
func parsed(st *Status) *html.Node {
	GinkgoHelper()
	doc, err := html.Parse(strings.NewReader(RenderPage(st)))
	Expect(err).NotTo(HaveOccurred())
	return doc
}

// all returns the elements of that name, with the attributes of each.
func all(doc *html.Node, name string) []map[string]string {
	var found []map[string]string
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			attributes := map[string]string{"": text(n)}
			for _, a := range n.Attr {
				attributes[a.Key] = a.Val
			}
			found = append(found, attributes)
		}
	}
	return found
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

var _ = Describe("The status page", func() {
	It("draws a lane for each instance, with its bars and marks in order", func() {
		st := handedOver()
		var drawn []string
		for _, d := range all(parsed(&st), "div") {
			switch kind, rest, _ := strings.Cut(d["class"], " "); kind {
			case "who", "span", "mark":
				drawn = append(drawn, strings.Join(strings.Fields(kind+" "+rest+" "+d[""]), " "))
			}
		}
		Expect(drawn).To(Equal([]string{
			"who aaaaaaaaaaaa this one, release 77", "span serving serving", "span draining draining", "span released released",
			"mark announced 1", "mark running 2", "mark stopSignal 3", "mark released 4", "mark marker 5",
			"who bbbbbbbbbbbb younger", "span starting starting", "span serving serving",
		}))
	})

	It("keeps everything inside the picture", func() {
		st := handedOver()
		for _, d := range all(parsed(&st), "div") {
			var left, width float64
			for _, part := range strings.Split(d["style"], ";") {
				name, value, _ := strings.Cut(part, ":")
				n, _ := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
				switch name {
				case "left":
					left = n
				case "width":
					width = n
				}
			}
			Expect(left).To(And(BeNumerically(">=", 0), BeNumerically("<=", 100)))
			Expect(left + width).To(BeNumerically("<=", 100.02))
		}
	})

	It("does not draw the hours in which nothing happens", func() {
		st := handedOver()
		st.Time = st.Time.Add(30 * time.Hour)
		page := RenderPage(&st)
		Expect(page).To(ContainSubstring("Nothing has changed for 30 h 0 min"))
		for _, d := range all(parsed(&st), "div") {
			if d["class"] == "span draining" {
				width := regexp.MustCompile(`width:([\d.]+)%`).FindStringSubmatch(d["style"])
				n, _ := strconv.ParseFloat(width[1], 64)
				Expect(n).To(BeNumerically(">", 3))
			}
		}
	})

	It("has headings, landmarks, names and header cells, and no id twice", func() {
		st := handedOver()
		st.Handovers = append(st.Handovers[:1:1], st.Handovers[0])
		st.Handovers[1].Began = st.Handovers[1].Began.Add(time.Second)
		st.Handovers[0].Ended = &st.Time
		doc := parsed(&st)
		for _, one := range []string{"header", "main", "footer", "h1", "title"} {
			Expect(all(doc, one)).To(HaveLen(1), one)
		}
		Expect(all(doc, "html")[0]).To(HaveKeyWithValue("lang", "en"))
		ids := map[string]bool{}
		for n := range doc.Descendants() {
			for _, a := range n.Attr {
				if a.Key == "id" {
					Expect(ids[a.Val]).To(BeFalse(), a.Val)
					ids[a.Val] = true
				}
			}
		}
		for _, s := range all(doc, "section") {
			if name := s["aria-labelledby"]; name != "" {
				Expect(ids).To(HaveKey(name))
			}
		}
		for _, cell := range all(doc, "th") {
			Expect(cell["scope"]).To(Or(Equal("col"), Equal("row")))
		}
		for _, table := range all(doc, "div") {
			if strings.HasPrefix(table["class"], "scroll") {
				Expect(table).To(HaveKeyWithValue("tabindex", "0"))
				Expect(table["aria-label"]).NotTo(BeEmpty())
			}
		}
	})

	It("escapes everything that others say", func() {
		const bad = `<img src=x onerror="alert(1)">'"&</style></script>`
		when, code := now, 1
		st := Status{
			Time: now, Phase: bad, Reason: bad, Message: bad, Failure: bad,
			Instance:   InstanceStatus{ID: bad, Container: bad, App: bad, Service: bad, Version: bad, ToldAt: &when},
			Conditions: []decide.Condition{{Type: bad, Status: bad, Reason: bad, Message: bad}},
			Peers: []PeerStatus{{ID: bad, Container: bad, Age: bad, Phase: bad, Address: bad, Ways: []string{bad}},
				{Legacy: true, Address: bad}},
			Supervisor: SupervisorStatus{Mode: bad, Error: bad, RequestedAt: &when, TargetCommit: bad, Containers: []ContainerStatus{{ID: bad, Status: bad}}},
			Workload:   WorkloadStatus{ExitCode: &code},
			Events:     []Event{{Type: "Warning", Phase: bad, Reason: bad, Message: bad}},
			Handovers: []Handover{{Began: now, Lanes: []Lane{
				{Instance: bad, Container: bad, Own: true, Spans: []Span{{Phase: bad, Told: true, From: now}}},
				{Instance: bad, Container: bad, Age: bad, Spans: []Span{{Phase: bad, From: now}}},
			}, Marks: []Mark{{Time: now, Kind: bad, Text: bad}, {Time: now, Kind: MarkTold, Lane: 1, Text: bad}}}},
		}
		doc := parsed(&st)
		Expect(all(doc, "img")).To(BeEmpty())
		Expect(all(doc, "script")).To(HaveLen(1))
		Expect(all(doc, "style")).To(HaveLen(1))
		for n := range doc.Descendants() {
			for _, a := range n.Attr {
				Expect(a.Key).NotTo(HavePrefix("on"))
				Expect(a.Key).NotTo(ContainSubstring("<"))
			}
		}
		Expect(strings.Count(RenderPage(&st), "<img")).To(BeZero())
	})

	It("says what there is before anything was heard", func() {
		st := Status{Time: now, Phase: "starting", Supervisor: SupervisorStatus{Mode: "off"}}
		page := RenderPage(&st)
		for _, part := range []string{"has seen none", "None is heard", "supervisor.mode is off", "not started"} {
			Expect(page).To(ContainSubstring(part))
		}
	})
})

var _ = Describe("The page's colours", func() {
	variables := regexp.MustCompile(`--(\w+):(#[0-9a-f]{3,6})`)
	read := func(css string) map[string]string {
		found := map[string]string{}
		for _, m := range variables.FindAllStringSubmatch(css, -1) {
			found[m[1]] = m[2]
		}
		return found
	}
	light, rest, _ := strings.Cut(PageStyle, "@media(prefers-color-scheme:dark)")
	dark, _, _ := strings.Cut(rest, "\n")
	schemes := map[string]map[string]string{"light": read(light), "dark": read(light)}
	for name, value := range read(dark) {
		schemes["dark"][name] = value
	}
	phases := []string{"starting", "prepared", "serving", "holding", "draining", "released", "gone"}

	It("can be read, also on the bars and on the marks", func() {
		for scheme, is := range schemes {
			pairs := [][2]string{{"link", "card"}, {"link", "bg"}, {"bad", "card"}, {"bad", "bg"}, {"card", "fg"}, {"card", "bad"}, {"on", "serving"}}
			for _, text := range []string{"fg", "soft"} {
				pairs = append(pairs, [2]string{text, "card"}, [2]string{text, "bg"})
			}
			for _, phase := range phases {
				pairs = append(pairs, [2]string{"on", phase})
			}
			for _, pair := range pairs {
				Expect(contrast(is[pair[0]], is[pair[1]])).To(BeNumerically(">=", 4.5), "%s: %v", scheme, pair)
			}
		}
	})

	It("stand out from what is behind them", func() {
		for scheme, is := range schemes {
			for _, phase := range phases {
				Expect(contrast(is[phase], is["track"])).To(BeNumerically(">=", 3), "%s: %s", scheme, phase)
				Expect(contrast(is[phase], is["card"])).To(BeNumerically(">=", 3), "%s: %s", scheme, phase)
			}
			Expect(contrast(is["link"], is["card"])).To(BeNumerically(">=", 3), scheme)
		}
	})
})

// contrast is the ratio that WCAG defines.
func contrast(a, b string) float64 {
	light, dark := luminance(a), luminance(b)
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}

func luminance(colour string) float64 {
	digits := strings.TrimPrefix(colour, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, _ := strconv.ParseUint(digits, 16, 32)
	linear := func(shift uint) float64 {
		c := float64(n>>shift&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}
