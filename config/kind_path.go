package config

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
)

// maxSocketPath is what fits into a sockaddr_un with the NUL at its end.
const maxSocketPath = 107

// path is an absolute path.
func path() kind {
	return kind{
		allowed: "an absolute path",
		zero:    "",
		show:    showText,
		parse: func(s string) (any, *fault) {
			if f := oneLine(s); f != nil {
				return nil, f
			}
			if !filepath.IsAbs(s) {
				return nil, faultf("is not an absolute path").suggest("begin it with /")
			}
			return s, nil
		},
	}
}

// filePath is an absolute path that can be a file's, of at most so many bytes.
func filePath(longest int) kind {
	k := path()
	parse := k.parse
	k.allowed = "the absolute path of a file"
	if longest < math.MaxInt {
		k.allowed += fmt.Sprintf(", up to %d bytes", longest)
	}
	k.parse = func(s string) (any, *fault) {
		v, f := parse(s)
		switch {
		case f != nil:
			return nil, f
		case strings.HasSuffix(s, "/"):
			return nil, faultf("names a folder")
		case len(s) > longest:
			return nil, faultf("is longer than %d bytes", longest)
		}
		return v, nil
	}
	return k
}
