package docs_test

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// page is a document, taken apart.
type page struct {
	path     string
	blocks   []block
	spans    []span
	links    []link
	headings []heading
	anchors  map[string]bool
	faults   faults // of the document's form
}

// block is what stands between two fences.
type block struct {
	path string
	line int // of its first line of text
	// language and mark are what stands behind the opening fence.
	language, mark string
	text           string
}

// span is inline code.
type span struct {
	line int
	text string
	// section is the heading of the first or second level that it stands under.
	section string
}

type link struct {
	line   int
	target string
}

type heading struct {
	line, level int
	text        string
}

var (
	fence     = regexp.MustCompile("^( *)(```+) *([^ `]*) *([^`]*)$")
	atx       = regexp.MustCompile(`^(#{1,6}) +(.*?) *#*$`)
	codeSpan  = regexp.MustCompile("(?s)(``|`)(.+?)(?:``|`)")
	inlined   = regexp.MustCompile(`!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)(?: "[^"]*")?\)`)
	listItem  = regexp.MustCompile(`^ *([-*+]|\d+[.)]) `)
	htmlLink  = regexp.MustCompile(`(?:src|href|srcset)="([^"]+)"`)
	reference = regexp.MustCompile(`(?m)^\[[^\]]+\]: *(\S+)`)
)

// parsePage takes a document apart: as much of Markdown as is used here.
func parsePage(path, text string) *page {
	p := &page{path: path, anchors: map[string]bool{}}
	lines := strings.Split(text, "\n")
	section, inList, blank := "", false, true
	var paragraph []string
	first := 0
	flush := func() {
		p.inline(first, strings.Join(paragraph, "\n"), section)
		paragraph = nil
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := fence.FindStringSubmatch(line); m != nil {
			flush()
			i = p.block(lines, i, m)
			blank = false
			continue
		}
		if strings.TrimSpace(line) == "" {
			flush()
			blank = true
			continue
		}
		row := strings.HasPrefix(strings.TrimSpace(line), "|")
		switch m := atx.FindStringSubmatch(line); {
		case m != nil:
			flush()
			inList = false
			if len(m[1]) <= 2 {
				section = m[2]
			}
			p.heading(i+1, len(m[1]), m[2])
		case listItem.MatchString(line):
			flush()
			inList = true
		case row:
			flush()
			inList = inList && strings.HasPrefix(line, " ")
		case !strings.HasPrefix(line, " "):
			inList = inList && !blank
		}
		if blank && !inList && (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")) {
			p.faults.add("%s:%d: code that is only indented: put it between fences, with its language", path, i+1)
		}
		blank = false
		if paragraph == nil {
			first = i + 1
		}
		paragraph = append(paragraph, line)
	}
	flush()
	return p
}

// block reads a fenced block that opens at lines[i] and returns the index of
// its end.
func (p *page) block(lines []string, i int, open []string) int {
	b := block{path: p.path, line: i + 2, language: open[3], mark: strings.TrimSpace(open[4])}
	var text strings.Builder
	for i++; i < len(lines); i++ {
		line := lines[i]
		if strings.TrimSpace(line) == open[2] {
			b.text = text.String()
			p.blocks = append(p.blocks, b)
			return i
		}
		for n := 0; n < len(open[1]) && strings.HasPrefix(line, " "); n++ {
			line = line[1:]
		}
		text.WriteString(line + "\n")
	}
	p.faults.add("%s:%d: a block that does not end", p.path, b.line-1)
	return i
}

func (p *page) heading(line, level int, text string) {
	p.headings = append(p.headings, heading{line, level, text})
	slug, n := slugOf(text), 0
	for anchor := slug; ; anchor = slug + "-" + strconv.Itoa(n) {
		if !p.anchors[anchor] {
			p.anchors[anchor] = true
			return
		}
		n++
	}
}

// slugOf is the anchor that GitHub makes of a heading.
func slugOf(heading string) string {
	heading = inlined.ReplaceAllStringFunc(heading, func(s string) string {
		return s[strings.Index(s, "[")+1 : strings.LastIndex(s, "](")]
	})
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// inline reads the code and the links of a paragraph, which may go over the ends
// of lines.
func (p *page) inline(first int, text, section string) {
	for _, m := range codeSpan.FindAllStringSubmatchIndex(text, -1) {
		code := strings.Join(strings.Fields(text[m[4]:m[5]]), " ")
		p.spans = append(p.spans, span{first + strings.Count(text[:m[0]], "\n"), code, section})
	}
	// As long as before, so that places stay what they are.
	bare := codeSpan.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return '`'
		}, s)
	})
	for _, kind := range []*regexp.Regexp{inlined, htmlLink, reference} {
		for _, m := range kind.FindAllStringSubmatchIndex(bare, -1) {
			p.links = append(p.links, link{first + strings.Count(bare[:m[0]], "\n"), bare[m[2]:m[3]]})
		}
	}
}
