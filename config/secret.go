package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands where a secret would.
const redacted = "[redacted]"

// Secret is text that must not be seen. It shows itself as "[redacted]" to
// fmt (every verb), log/slog, encoding/json and everything that knows
// encoding.TextMarshaler; the empty secret, which is none, shows itself as
// empty. Conversion to string and reflection do reveal it; so does
// encoding/json if a Secret is the key of a map.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or nothing for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String in quotes.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// Format writes String, whatever the verb; %q and %#v put it in quotes.
func (s Secret) Format(f fmt.State, verb rune) {
	out := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		out = s.GoString()
	}
	_, _ = io.WriteString(f, out)
}

// LogValue keeps the secret out of log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON keeps the secret out of JSON. It never fails.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText keeps the secret out of other encodings. It never fails.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
