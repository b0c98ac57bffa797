package compose

import (
	"strings"
	"time"
)

// units are those that Compose and the Supervisor both know. Longer names
// first: "ms" is not minutes.
var units = []struct {
	name string
	is   time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"µs", time.Microsecond}, {"ms", time.Millisecond},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

const maxDuration = 100 * 365 * 24 * time.Hour

// parseDuration reads a duration as Compose writes it: 1m30s, 60s, 1.5h. A
// number needs a unit.
func parseDuration(s string) (total time.Duration, ok bool) {
	if s == "" {
		return 0, false
	}
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end <= 0 || end > 18 {
			return 0, false
		}
		number, rest := s[:end], s[end:]
		found := false
		for _, u := range units {
			after, is := strings.CutPrefix(rest, u.name)
			if !is || u.name == "m" && strings.HasPrefix(after, "s") {
				continue
			}
			value, good := times(number, u.is)
			if !good || total+value > maxDuration {
				return 0, false
			}
			total, s, found = total+value, after, true
			break
		}
		if !found {
			return 0, false
		}
	}
	return total, true
}

// times multiplies a decimal number.
func times(number string, unit time.Duration) (time.Duration, bool) {
	whole, fraction, dot := strings.Cut(number, ".")
	if whole == "" && fraction == "" || dot && strings.Contains(fraction, ".") {
		return 0, false
	}
	value := int64(0)
	for i := range len(whole) {
		value = value*10 + int64(whole[i]-'0')
		if value > int64(maxDuration/unit) {
			return 0, false
		}
	}
	value *= int64(unit)
	for i := range len(fraction) {
		unit /= 10
		value += int64(fraction[i]-'0') * int64(unit)
	}
	return time.Duration(value), true
}

// short is a duration without zeros at its end: 1m, not 1m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
