package docs_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

var _ = Describe("A picture", func() {
	It("is well-formed, has its own background and words, and needs nothing from elsewhere", func() {
		found := 0
		for _, p := range pages() {
			for _, l := range p.links {
				if !strings.HasSuffix(l.target, ".svg") {
					continue
				}
				found++
				text, err := os.ReadFile(filepath.Join(root, path.Dir(p.path), l.target))
				Expect(err).NotTo(HaveOccurred())
				Expect(checkPicture(string(text))).To(BeEmpty(), l.target)
			}
		}
		Expect(found).To(BeNumerically(">=", 1))
	})

	It("draws phases that there are", func() {
		text, err := os.ReadFile(filepath.Join(root, "controller", "handover.svg"))
		Expect(err).NotTo(HaveOccurred())
		drawn := regexp.MustCompile(`<rect [^>]*height="32"[^>]*/>\n *<text [^>]*>([^<]*)</text>`).FindAllStringSubmatch(string(text), -1)
		Expect(drawn).To(HaveLen(10))
		for _, d := range drawn {
			var names []string
			for phase := peer.PhaseStarting; phase <= peer.PhaseGone; phase++ {
				names = append(names, phase.String())
			}
			Expect(names).To(ContainElement(d[1]))
		}
	})

	DescribeTable("would be found out if it were not",
		func(old, replacement, fault string) {
			text, err := os.ReadFile(filepath.Join(root, "controller", "handover.svg"))
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.Count(string(text), old)).To(BeNumerically(">", 0))
			Expect(checkPicture(strings.Replace(string(text), old, replacement, 1))).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("well-formed", "</desc>", "</dsc>", "is not XML"),
		Entry("whole", "</svg>", "", "is not XML"),
		Entry("readable on a dark page", `<rect width="960" height="660"`, `<rect width="960" height="64"`, "no background"),
		Entry("scalable", ` viewBox="0 0 960 660"`, "", "no viewBox"),
		Entry("said in words", ">A hand-over, on Supervisors since v14.13.10 and before<", "><", "no title"),
		Entry("alone", "<defs>", `<defs><image href="https://example.com/x.png"/>`, "from elsewhere"),
		Entry("without a program", "<defs>", "<defs><script>x()</script>", "<script>"),
	)
})

// checkPicture is what is wrong with an SVG.
func checkPicture(text string) faults {
	var f faults
	var width, height, title string
	background, inTitle := false, false
	d := xml.NewDecoder(strings.NewReader(text))
	for first := true; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.add("is not XML: %v", err)
			return f
		}
		switch t := token.(type) {
		case xml.CharData:
			if inTitle {
				title += strings.TrimSpace(string(t))
			}
		case xml.EndElement:
			inTitle = false
		case xml.StartElement:
			a := map[string]string{}
			for _, one := range t.Attr {
				a[one.Name.Local] = one.Value
				if one.Name.Local != "xmlns" && strings.Contains(one.Value, "//") {
					f.add("%s is from elsewhere", one.Value)
				}
			}
			switch t.Name.Local {
			case "svg":
				width, height = a["width"], a["height"]
				if first && a["viewBox"] == "" {
					f.add("no viewBox")
				}
			case "title":
				inTitle = true
			case "rect":
				background = background || a["x"] == "" && a["width"] == width && a["height"] == height && a["fill"] != ""
			case "script", "style", "foreignObject":
				f.add("<%s> in a picture", t.Name.Local)
			}
			first = false
		}
	}
	if !background {
		f.add("no background of its own")
	}
	if title == "" {
		f.add("no title")
	}
	return f
}
