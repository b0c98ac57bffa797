package compose

import (
	"path"
	"strings"
)

// words splits a line as a shell does, and Compose where it takes a command as
// one text. Operators (&&, ;, …) outside of quotes are words of their own.
func words(line string) []string {
	var all []string
	var word strings.Builder
	in, quote := false, byte(0)
	flush := func() {
		if in {
			all = append(all, word.String())
		}
		word.Reset()
		in = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(line) && (quote == 0 || strings.IndexByte("\"\\$`", line[i+1]) >= 0):
			i++
			word.WriteByte(line[i])
			in = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case strings.IndexByte(" \t\r\n", c) >= 0:
			flush()
		case strings.IndexByte(";&|()", c) >= 0 && (c != '&' || i == 0 || line[i-1] != '>'):
			flush()
			operator := string(c)
			if i+1 < len(line) && line[i+1] == c && (c == '&' || c == '|') {
				i++
				operator += string(c)
			}
			all = append(all, operator)
		default:
			word.WriteByte(c)
			in = true
		}
	}
	flush()
	return all
}

func isOperator(word string) bool { return oneOf(word, "; & && | || ( )") }

// isShell reports whether a program is a shell.
func isShell(program string) bool {
	return oneOf(path.Base(program), "sh bash ash dash zsh ksh")
}

// script is what a shell is given to run, if the words are `sh -c SCRIPT`.
func script(argv []string) (text string, ok bool) {
	if len(argv) == 0 || !isShell(argv[0]) {
		return "", false
	}
	for i, w := range argv[1:] {
		if !strings.HasPrefix(w, "-") {
			return "", false
		}
		if !strings.HasPrefix(w, "--") && strings.HasSuffix(w, "c") && i+2 < len(argv) {
			return argv[i+2], true
		}
	}
	return "", false
}

// isAssignment reports whether a word of a shell's line sets a variable.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return false
	}
	for i := range len(name) {
		if !isLetter(name[i]) && (i == 0 || name[i] < '0' || name[i] > '9') {
			return false
		}
	}
	return true
}
