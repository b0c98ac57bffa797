package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// kind says how the text of a value is read, and written again.
type kind struct {
	// allowed says what may be written, for messages and for README.md.
	allowed string
	// parse reads one text. It is never given an empty one.
	parse func(string) (any, *fault)
	// parseList reads a list; nil: a list is not allowed.
	parseList func([]string) (any, *fault)
	// show writes a value as it would stand in the file.
	show func(any) string
	// zero is the value of no text at all; nil: there is no such value.
	zero any
	// mask hides what must not be in a message; nil: nothing is hidden.
	mask func(string) string
}

// fault is what is wrong with a value.
type fault struct {
	message string // follows the value: "5" needs a unit
	hint    string // what to do about it; may be empty
}

// faultf is not inlined, for the size of the binary: it has many callers.
func faultf(format string, args ...any) *fault {
	return &fault{message: fmt.Sprintf(format, args...)}
}

func (f *fault) suggest(format string, args ...any) *fault {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// off is how to write that something is to be none.
const off = "off"

// read reads a value of this kind, after what holds for all kinds.
func (k kind) read(r raw) (any, *fault) {
	for _, text := range slices.Concat(r.list, []string{r.text}) {
		if !utf8.ValidString(text) {
			return nil, faultf("is not valid UTF-8")
		}
		if strings.ContainsRune(text, 0) {
			return nil, faultf("contains a NUL character")
		}
	}
	switch {
	case r.badList:
		return nil, faultf("is not a list of strings in JSON")
	case r.isList && k.parseList == nil:
		return nil, faultf("a list is not allowed here")
	case r.isList:
		return k.parseList(r.list)
	case r.text == "":
		return nil, faultf("is empty").suggest("leave the key out to get its default")
	}
	return k.parse(r.text)
}

// raw is a value as it was written.
type raw struct {
	text    string
	list    []string
	isList  bool
	badList bool // text was meant as a list in JSON, and is none
}

// text is any text of one line, up to so many bytes.
func text(longest int) kind {
	return kind{
		allowed: fmt.Sprintf("text of one line, up to %d bytes", longest),
		zero:    "",
		show:    showText,
		parse: func(s string) (any, *fault) {
			if f := oneLine(s); f != nil {
				return nil, f
			}
			if len(s) > longest {
				return nil, faultf("is longer than %d bytes", longest)
			}
			return s, nil
		},
	}
}

// oneLine refuses line breaks and other control characters.
func oneLine(s string) *fault {
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return faultf("contains a line break or another control character")
	}
	return nil
}

func showText(v any) string { return yamlText(fmt.Sprint(v)) }

// oneOf is one of a few words.
func oneOf(words ...string) kind {
	return kind{
		allowed: choice(words),
		show:    showText,
		parse: func(s string) (any, *fault) {
			for _, w := range words {
				if s == w {
					return s, nil
				}
			}
			f := faultf("is not among the allowed words")
			if w := nearest(s, words, ""); w != "" {
				f.suggest("write %s", w)
			}
			return nil, f
		},
	}
}

// choice is "a, b or c".
func choice(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// boolean is true or false as YAML 1.2 knows them, with neither yes nor 1.
func boolean() kind {
	return kind{
		allowed: "true or false",
		show:    func(v any) string { return fmt.Sprint(v) },
		parse: func(s string) (any, *fault) {
			switch s {
			case "true", "True", "TRUE":
				return true, nil
			case "false", "False", "FALSE":
				return false, nil
			}
			f := faultf("is not a boolean")
			switch strings.ToLower(s) {
			case "yes", "y", "on", "1":
				f.suggest("write true")
			case "no", "n", "off", "0":
				f.suggest("write false")
			}
			return nil, f
		},
	}
}

// integer is a whole decimal number in a range.
func integer(low, high int) kind {
	return kind{
		allowed: fmt.Sprintf("a whole number from %d to %d", low, high),
		show:    func(v any) string { return fmt.Sprint(v) },
		parse: func(s string) (any, *fault) {
			digits := strings.TrimPrefix(s, "-")
			if digits == "" || strings.Trim(digits, "0123456789") != "" {
				return nil, faultf("is not a whole number in decimal digits")
			}
			if len(digits) > 1 && digits[0] == '0' {
				return nil, faultf("begins with a zero, which could mean octal")
			}
			n, err := strconv.Atoi(s)
			switch {
			case err != nil || n < low || n > high:
				return nil, faultf("is out of range")
			case strconv.Itoa(n) != s:
				return nil, faultf("is not a whole number in decimal digits")
			}
			return n, nil
		},
	}
}

// duration is a Go duration in a range.
func duration(low, high time.Duration) kind {
	return kind{
		allowed: fmt.Sprintf("a duration such as 10s or 500ms, from %s to %s", showDuration(low), showDuration(high)),
		show:    showDuration,
		parse: func(s string) (any, *fault) {
			d, err := time.ParseDuration(s)
			_, numberErr := strconv.ParseFloat(s, 64)
			switch {
			case err != nil && numberErr == nil:
				return nil, faultf("has no unit").suggest("write %ss if seconds are meant", strings.TrimLeft(s, "+-"))
			case err != nil:
				return nil, faultf("is not a duration").suggest("units are h, m, s, ms, us and ns")
			case d < 0:
				return nil, faultf("is negative")
			case d < low:
				return nil, faultf("is less than %s", showDuration(low))
			case d > high:
				return nil, faultf("is more than %s", showDuration(high))
			}
			return d, nil
		},
	}
}

// showDuration writes a duration as people do: 1m, not 1m0s.
func showDuration(v any) string {
	d, _ := v.(time.Duration)
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// automatic is what orAuto makes of "auto". No duration is negative.
const automatic = time.Duration(-1)

// orAuto is a duration, or "auto".
func orAuto(k kind) kind {
	parse, show := k.parse, k.show
	k.allowed = "auto, or " + k.allowed
	k.parse = func(s string) (any, *fault) {
		if s == "auto" {
			return automatic, nil
		}
		return parse(s)
	}
	k.show = func(v any) string {
		if v == automatic {
			return "auto"
		}
		return show(v)
	}
	return k
}

// orOff is what k is, or "off", which becomes empty.
func orOff(k kind) kind {
	parse, show := k.parse, k.show
	k.allowed += ", or off"
	k.parse = func(s string) (any, *fault) {
		if s == off {
			return "", nil
		}
		return parse(s)
	}
	k.show = func(v any) string {
		if v == "" {
			return off
		}
		return show(v)
	}
	return k
}
