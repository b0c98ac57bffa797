package config

import "strings"

// display is a value as it was written, for messages: never a secret's, and
// without what a URL should not have in it.
func (k key) display(r raw) string {
	switch {
	case k.secret:
		return redacted
	case r.isList:
		return shorten(flowList(r.list))
	case k.kind.mask != nil:
		return shorten(k.kind.mask(r.text))
	}
	return shorten(r.text)
}

// maskURL hides what may be a password or a token in something that should be
// a URL and may be none.
func maskURL(s string) string {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		from := 0
		if i := strings.Index(s[:at], "://"); i >= 0 {
			from = i + len("://")
		}
		s = s[:from] + redacted + s[at:]
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i+1] + redacted
	}
	return s
}
