package config

import "strings"

// command is a command to run: a list of words, or one string for the shell.
func command() kind {
	return kind{
		allowed:   "a list of strings (run as it is) or one string (run with sh -c)",
		zero:      Command{},
		show:      showCommand,
		parseList: parseArgv,
		parse: func(s string) (any, *fault) {
			if strings.TrimSpace(s) == "" {
				return nil, faultf("is blank")
			}
			return shellCommand(s), nil
		},
	}
}

func parseArgv(words []string) (any, *fault) {
	if len(words) == 0 {
		return nil, faultf("is an empty list").suggest("leave the key out for no command")
	}
	if strings.TrimSpace(words[0]) == "" {
		return nil, faultf("has no program as its first element")
	}
	return Command{Argv: words}, nil
}

func showCommand(v any) string {
	c, _ := v.(Command)
	if c.Shell || c.IsZero() {
		return yamlText(c.String())
	}
	return c.String()
}

// secret is one secret that can go into an HTTP header.
func secret() kind {
	return kind{
		allowed: "printable ASCII without blanks",
		zero:    Secret(""),
		show:    showSecrets,
		parse: func(s string) (any, *fault) {
			if f := oneLine(s); f != nil {
				return nil, f
			}
			if f := notRedacted(s); f != nil {
				return nil, f
			}
			if strings.ContainsFunc(strings.TrimSpace(s), func(r rune) bool { return r <= ' ' || r > '~' }) {
				return nil, faultf("has a character that cannot be part of it")
			}
			return Secret(s), nil
		},
	}
}

// secretList is one secret or a list of them.
func secretList() kind {
	parseList := func(texts []string) (any, *fault) {
		secrets := make([]Secret, 0, len(texts))
		for _, s := range texts {
			if s == "" {
				return nil, faultf("has an empty secret in it")
			}
			if f := notRedacted(s); f != nil {
				return nil, f
			}
			secrets = append(secrets, Secret(s))
		}
		if len(secrets) == 0 {
			return nil, faultf("is an empty list").suggest("leave the key out for no secret")
		}
		return secrets, nil
	}
	k := oneOrMore(parseList)
	k.allowed, k.zero, k.show = "a string or a list of strings, none of them empty", []Secret(nil), showSecrets
	return k
}

// oneOrMore is one text or a list of them: one is a list of one.
func oneOrMore(parseList func([]string) (any, *fault)) kind {
	return kind{parseList: parseList, parse: func(s string) (any, *fault) { return parseList([]string{s}) }}
}

// showOneOrMore writes a list of texts, and a single one without the list.
func showOneOrMore(texts []string) string {
	switch len(texts) {
	case 0:
		return yamlQuoted("")
	case 1:
		return yamlQuoted(texts[0])
	}
	return flowList(texts)
}

// notRedacted refuses what is printed in place of a secret, so that a printed
// configuration does not become one whose secret everybody knows.
func notRedacted(s string) *fault {
	if strings.Trim(s, `[]"'`) != strings.Trim(redacted, "[]") {
		return nil
	}
	return faultf("is what stands in the place of a secret").
		suggest("put the secret itself there, or take the line out if a variable holds it")
}

// showSecrets writes a secret, or a list of them, without saying them.
func showSecrets(v any) string {
	secrets, isList := v.([]Secret)
	if !isList {
		s, _ := v.(Secret)
		return yamlQuoted(s.String())
	}
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.String()
	}
	return showOneOrMore(texts)
}
