package page_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// drawn lists lanes, bars and marks of the newest hand-over, and where they are.
const drawn = `
const section = document.querySelector("section[id^=h]");
if (!section) return [];
return [...section.querySelectorAll(".lane")].map(lane => ({
  Who: lane.querySelector(".who").textContent.trim(),
  Bars: [...lane.querySelectorAll(".span")].map(s => ({Text: s.textContent, Class: s.className, Left: s.getBoundingClientRect().left, Right: s.getBoundingClientRect().right})),
  Marks: [...lane.querySelectorAll(".mark")].map(m => ({Text: m.textContent, Class: m.className, Left: m.getBoundingClientRect().left})),
}));`

type box struct {
	Text, Class string
	Left, Right float64
}

type drawnLane struct {
	Who         string
	Bars, Marks []box
}

// in lists lanes as one line each: bars, then marks.
func in(lanes []drawnLane) []string {
	var lines []string
	for _, l := range lanes {
		line := ""
		for _, b := range l.Bars {
			line += strings.TrimPrefix(b.Class, "span ") + " "
		}
		for _, m := range l.Marks {
			line += m.Text + ":" + strings.TrimPrefix(m.Class, "mark ") + " "
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// lanes is what the page draws.
func (b *browser) lanes() []drawnLane {
	GinkgoHelper()
	var lanes []drawnLane
	b.run(drawn, &lanes)
	return lanes
}

// ending is what the browser logs by itself when an instance ends.
var ending = regexp.MustCompile(`net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)|status of 502`)

// clean checks that the page has complained of nothing and asked nobody else.
func (b *browser) clean(addresses ...string) {
	GinkgoHelper()
	for _, e := range b.logged("browser") {
		if ending.MatchString(e.Message) {
			continue
		}
		Expect(e.Level).NotTo(BeElementOf("SEVERE", "WARNING"), e.Message)
		Expect(e.Message).NotTo(ContainSubstring("Content Security Policy"))
	}
	for _, url := range b.requested() {
		own := strings.HasPrefix(url, "data:") || strings.HasPrefix(url, "chrome://")
		for _, address := range addresses {
			own = own || strings.HasPrefix(url, "http://"+address+"/")
		}
		Expect(own).To(BeTrue(), url)
	}
}

var _ = Describe("The status page in a browser", func() {
	It("draws a hand-over as it happens, without being loaded again", func() {
		b := newBrowser(browserOptions{})
		d := newDevice("14.13.9")
		d.release(1, "off", 0)
		older := d.door(1)
		Eventually(phaseAt(older), patience, "50ms").Should(Equal("serving"))
		b.open(older)
		b.run("window.notReloaded = true", nil)
		Eventually(func() string { return b.text(`document.querySelector(".badge").textContent`) }, patience).Should(Equal("serving"))
		Eventually(func() string { return b.text(`document.getElementById("live").className`) }, patience).Should(Equal("on"))
		Expect(b.text(`document.body.innerText`)).To(ContainSubstring("has seen none"))
		b.picture("1 alone")

		By("a younger container starting")
		d.release(2, "off", onCommand)
		younger := d.door(2)
		Eventually(func() []string { return in(b.lanes()) }, patience).Should(HaveExactElements(
			MatchRegexp(`^serving( 1:running)?$`), Equal("starting")))
		width := func() float64 { l := b.lanes()[1].Bars[0]; return l.Right - l.Left }
		growing := width()
		Eventually(width, patience).ShouldNot(Equal(growing))
		workDone := d.work(1)
		d.becomeReady(2)

		By("both signals, and the drain")
		Eventually(func() []string { return in(b.lanes()) }, patience).Should(HaveExactElements(
			MatchRegexp(`^serving draining 1:(running|announced) 2:(running|announced) 3:stopSignal$`), Equal("starting serving")))
		if os.Getenv("PAGE_SCREENSHOTS") != "" {
			time.Sleep(2 * time.Second) // some of the drain is to be seen
		}
		b.picture("2 draining light")
		b.run(`document.querySelector("details").open = true; document.querySelector("#conditions").focus(); document.querySelector("#events").scrollTop = 10`, nil)
		b.emulate(1200, 900, "dark")
		b.picture("3 draining dark")
		Expect(b.text("getComputedStyle(document.body).backgroundColor")).To(Equal("rgb(13, 17, 23)"))
		b.emulate(360, 800, "light")
		b.picture("4 draining phone")
		Expect(b.text("document.documentElement.scrollWidth <= innerWidth")).To(Equal("true"))
		b.emulate(360, 800, "dark")
		b.picture("5 draining phone dark")
		b.emulate(1200, 900, "light")
		Expect(b.text("getComputedStyle(document.body).backgroundColor")).To(Equal("rgb(244, 246, 248)"))

		By("released: focus, scrolling and what is open have stayed")
		workDone()
		Eventually(func() []string { return in(b.lanes()) }, patience, "20ms").Should(HaveExactElements(
			MatchRegexp(`^serving draining released( released told)? 1:\w+ 2:\w+ 3:stopSignal 4:released 5:marker( 6:told)?$`), Equal("starting serving")))
		lanes := b.lanes()
		for _, l := range lanes {
			for i := 1; i < len(l.Bars); i++ {
				Expect(l.Bars[i].Left).To(BeNumerically(">=", l.Bars[i-1].Right-2.5)) // a bar has at least two pixels
			}
			for i := 1; i < len(l.Marks); i++ {
				Expect(l.Marks[i].Left).To(BeNumerically(">=", l.Marks[i-1].Left))
			}
		}
		Expect(b.text("window.notReloaded")).To(Equal("true"))
		Expect(b.text("document.activeElement.id")).To(Equal("conditions"))
		Expect(b.text(`document.querySelector("details").open`)).To(Equal("true"))
		b.picture("6 released")
		d.stopOlder()
		Eventually(func() string { return b.text(`document.getElementById("live").className`) }, patience).Should(Equal("off"))
		b.picture("7 gone")
		b.clean(older)

		By("the younger one's page has the same as the last hand-over")
		Eventually(func() bool {
			seen := statusAt(younger).Handovers
			return len(seen) == 1 && seen[0].Ended != nil
		}, patience).Should(BeTrue())
		b.open(younger)
		Eventually(func() string { return b.text(`document.querySelector("section h2").textContent`) }, patience).Should(Equal("Last hand-over"))
		Eventually(func() []string { return in(b.lanes()) }).Should(HaveExactElements("starting serving", MatchRegexp("^serving draining released( released told)?( 1:told)?$")))
		b.picture("8 the younger one")
		b.clean(older, younger) // the older one's page may have asked once more before it was left
	})

	It("shows SIGTERM and the end of the hold, also without JavaScript, as the same picture", func() {
		older, younger := simulator.FreeAddress(), simulator.FreeAddress()
		b, still := newBrowser(browserOptions{}), newBrowser(browserOptions{withoutScripts: true})
		d := newDevice("19.0.5")
		d.release(1, older, 0)
		Eventually(phaseAt(older), patience, "50ms").Should(Equal("serving"))
		b.open(older)
		d.release(2, younger, onCommand)
		Eventually(phaseAt(older), patience, "20ms").Should(Equal("holding"))
		Eventually(func() []string { return in(b.lanes()) }, patience).Should(HaveExactElements(
			And(HavePrefix("serving holding told"), ContainSubstring(":told"), ContainSubstring(":holdEnds")), Equal("starting")))
		Eventually(func(g Gomega) { // what it shows is of when it was opened
			still.open(older)
			g.Expect(in(still.lanes())).To(Equal(in(b.lanes())))
		}).Should(Succeed())
		Expect(still.text(`document.getElementById("live").textContent`)).To(ContainSubstring("Without JavaScript"))
		Expect(still.text(`getComputedStyle(document.querySelector(".span")).position`)).To(Equal("absolute"))
		Consistently(func() string { return still.text(`document.getElementById("asof").textContent`) }, "2s").Should(
			Equal(still.text(`document.getElementById("asof").textContent`)))
		b.picture("9 holding")
		still.picture("10 holding without scripts")
		still.emulate(360, 800, "light")
		Expect(still.text("document.documentElement.scrollWidth <= innerWidth")).To(Equal("true"))
		still.clean(older)
		b.clean(older)

		By("taking the end of the hold away when it is not needed")
		d.work(1) // so that the drain can be seen
		d.becomeReady(2)
		Eventually(func() []string { return in(b.lanes()) }, patience, "20ms").Should(HaveExactElements(
			And(HavePrefix("serving holding told draining told"), Not(ContainSubstring("holdEnds"))), HavePrefix("starting serving")))
		b.picture("11 held, draining")
	})

	It("can be used with the keyboard and by a screen reader", func() {
		older, younger := simulator.FreeAddress(), simulator.FreeAddress()
		b := newBrowser(browserOptions{})
		d := newDevice("14.13.9")
		d.release(1, older, 0)
		Eventually(phaseAt(older), patience, "50ms").Should(Equal("serving"))
		d.release(2, younger, onCommand) // and there is none
		Eventually(func() int { return len(statusAt(older).Peers) }, patience, "50ms").Should(Equal(1))
		b.open(older)
		Eventually(func() string { return b.text(`document.getElementById("live").className`) }, patience).Should(Equal("on"))

		By("Tab")
		var reached []string
		for range 20 {
			b.press("\uE004")
			reached = append(reached, b.text(`document.activeElement.id || document.activeElement.className || document.activeElement.localName`))
			if reached[len(reached)-1] == "body" {
				break // once round
			}
			if len(reached) == 1 {
				Expect(b.text(`document.activeElement.getBoundingClientRect().left >= 0`)).To(Equal("true"))
			}
			if reached[len(reached)-1] == "summary" {
				b.press("\uE007")
				Eventually(func() string { return b.text(`document.activeElement.parentNode.open`) }).Should(Equal("true"))
				Expect(b.text(`getComputedStyle(document.activeElement).outlineStyle`)).To(Equal("solid"))
			}
		}
		Expect(reached[0]).To(Equal("skip"))
		for _, one := range []string{"summary", "conditions", "peers", "containers", "events"} {
			Expect(reached).To(ContainElement(one))
		}
		Expect(reached).To(ContainElement(HaveSuffix("-table")))
		Expect(reached).To(ContainElement("a"))

		By("the skip link")
		b.open(older)
		b.press("\uE004")
		b.press("\uE007")
		Eventually(func() string { return b.text(`document.activeElement.id`) }).Should(Equal("main"))

		By("names in the accessibility tree")
		var tree struct {
			Nodes []struct {
				Ignored    bool
				Role, Name struct{ Value any }
			}
		}
		b.tools("Accessibility.enable", map[string]any{}, nil)
		b.tools("Accessibility.getFullAXTree", map[string]any{}, &tree)
		names := map[string][]string{}
		for _, n := range tree.Nodes {
			if role := fmt.Sprint(n.Role.Value); !n.Ignored {
				names[role] = append(names[role], fmt.Sprint(n.Name.Value))
			}
		}
		for role, named := range map[string][]string{
			"main": nil, "banner": nil, "contentinfo": nil, "status": nil,
			"heading": {"front-door serving", "Hand-over under way", "Conditions", "This instance", "Other instances", "Supervisor", "Events"},
			"region":  {"Hand-over under way", "Conditions", "Other instances", "Events, the last one first"},
			"link":    {"Skip to the status", "status", "metrics"},
			"table":   {"Conditions", "Other instances"},
			"image":   {"Timeline. The same is said by the list and the table below."},
		} {
			Expect(names).To(HaveKey(role))
			for _, name := range named {
				Expect(names[role]).To(ContainElement(name), role)
			}
		}
		Expect(len(names["columnheader"])).To(BeNumerically(">=", 15))
		Expect(len(names["rowheader"])).To(BeNumerically(">=", 6))
		for _, role := range []string{"link", "region", "image", "table", "heading"} {
			Expect(names[role]).NotTo(ContainElement(BeElementOf("", "<nil>")), role)
		}
		b.clean(older)
	})

	It("sends what browsers need to be strict", func() {
		address := simulator.FreeAddress()
		d := newDevice("14.13.9")
		d.release(1, address, 0)
		Eventually(phaseAt(address), patience, "50ms").Should(Equal("serving"))
		answer, err := client.Get("http://" + address + "/")
		Expect(err).NotTo(HaveOccurred())
		_ = answer.Body.Close()
		Expect(answer.Header.Get("Content-Security-Policy")).To(And(HavePrefix("default-src 'none'"), ContainSubstring("frame-ancestors 'none'")))
		Expect(answer.Header.Get("X-Content-Type-Options")).To(Equal("nosniff"))
		Expect(answer.Header.Get("Cache-Control")).To(Equal("no-store"))
		answer, err = client.Post("http://"+address+"/", "text/plain", nil)
		Expect(err).NotTo(HaveOccurred())
		_ = answer.Body.Close()
		Expect(answer.StatusCode).To(Equal(http.StatusMethodNotAllowed))
	})
})
