package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// looseText takes a JSON string or number, without spaces around it; anything
// else is the empty text. Ids are numbers in some places and versions, and
// strings in others.
type looseText string

func (t *looseText) UnmarshalJSON(data []byte) error {
	*t = ""
	switch c := data[0]; {
	case c == '"':
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = looseText(strings.TrimSpace(s))
	case c == '-' || c >= '0' && c <= '9':
		*t = looseText(data)
		if n, ok := integer(string(data)); ok {
			*t = looseText(strconv.FormatInt(n, 10))
		}
	}
	return nil
}

// looseInt takes a JSON number, or a string that has one in it; anything else
// is 0.
type looseInt int64

func (i *looseInt) UnmarshalJSON(data []byte) error {
	var t looseText
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	n, _ := integer(string(t))
	*i = looseInt(n)
	return nil
}

// integer reads a whole number, also one written as 501.0 or 1e3.
func integer(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53 // beyond it a float64 skips numbers
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// outcome checks the "status" that most answers of the v2 API have: missing,
// null and "success" are good.
func outcome(status json.RawMessage, message looseText) error {
	if len(status) == 0 || string(status) == "null" {
		return nil
	}
	var word string
	switch {
	case json.Unmarshal(status, &word) != nil:
		return errors.New(`the answer's "status" is not text`)
	case strings.EqualFold(word, "success"):
		return nil
	case message != "":
		return fmt.Errorf("the answer's status is %q: %s", word, message)
	}
	return fmt.Errorf("the answer's status is %q", word)
}
