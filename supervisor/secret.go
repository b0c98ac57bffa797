package supervisor

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const redacted = "[key]"

// secret is the API key. A Client has it behind a pointer, so that printing the
// client with any verb prints an address.
type secret struct {
	text string
	find *regexp.Regexp // nil if there is no key
}

// newSecret refuses keys that cannot be sent in a header.
func newSecret(text string) (*secret, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return &secret{}, nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the API key has a character that cannot be part of one")
	}
	return &secret{text: text, find: regexp.MustCompile("(?i)" + regexp.QuoteMeta(text))}, nil
}

func (s *secret) empty() bool { return s.text == "" }

// clean returns the error as it is if its text is fit to be shown. If it is
// not, or if an error wrapped in it shows the key, only a text remains.
func (s *secret) clean(err error) error {
	switch err {
	// These are clean even if the key is "dead"; an error that wraps them may not be.
	case nil, context.Canceled, context.DeadlineExceeded: //nolint:errorlint // these very values
		return err
	}
	text := s.quote(err.Error())
	if text == err.Error() && !s.shownBy(err) {
		return err
	}
	return errors.New(text)
}

// quote makes text of the other side fit for an error: one short line, without
// control characters and without the key in whatever case.
func (s *secret) quote(text string) string {
	const longest = 300
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError
	}), " ")
	if s.find != nil {
		text = s.find.ReplaceAllLiteralString(text, redacted) // before it is cut
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

func (s *secret) shownBy(err error) bool {
	if err == nil || s.find == nil {
		return false
	}
	if s.find.MatchString(err.Error()) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // walks the chain itself, link by link
	case interface{ Unwrap() error }:
		return s.shownBy(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), s.shownBy)
	}
	return false
}

// mask says whether there is a key, not which.
func mask(key string) string {
	if key == "" {
		return "none"
	}
	return redacted
}

// hostOnly leaves out of an address whatever may be secret.
func hostOnly(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "[not an address]"
	}
	return u.Scheme + "://" + u.Host
}
