package compose

import (
	"strconv"
	"strings"
)

// image is what a Dockerfile makes of its base image, as far as it says so.
type image struct {
	file string // as messages show it
	// base is the image that it builds on, without registry and tag.
	base                string
	baseLine            int
	entrypoint, command *command
	healthcheck         *healthcheck
	user, stopSignal    *variable
	environment         variables
	// mentions: the configuration's file, wherever it comes from.
	mentions bool
}

// newImage follows the stages of a Dockerfile to the one that is built: the
// last one, or the target.
func newImage(file, text, target string) (*image, error) {
	all, err := parseDockerfile(text)
	if err != nil {
		return nil, err
	}
	var stages []*stage
	for _, i := range all {
		if i.name == "FROM" {
			stages = append(stages, newStage(i, len(stages)))
		} else if len(stages) > 0 {
			last := stages[len(stages)-1]
			last.instructions = append(last.instructions, i)
		}
	}
	img := &image{file: file, mentions: strings.Contains(text, "handover.yaml"), entrypoint: &command{}, command: &command{}, healthcheck: newHealthcheck(0, ""), user: &variable{}, stopSignal: &variable{}}
	built := find(stages, target)
	if target == "" && len(stages) > 0 {
		built = stages[len(stages)-1]
	}
	img.build(stages, built)
	return img, nil
}

// stage is a FROM and what follows it.
type stage struct {
	line         int
	number       int
	name         string
	image        string
	instructions []*instruction
}

func newStage(from *instruction, number int) *stage {
	s := &stage{line: from.line, number: number}
	w := strings.Fields(from.args)
	if len(w) > 0 {
		s.image = w[0]
	}
	if len(w) == 3 && strings.EqualFold(w[1], "AS") {
		s.name = w[2]
	}
	return s
}

// find returns the last stage of that name or number, nil if there is none.
func find(stages []*stage, name string) *stage {
	for i := len(stages) - 1; i >= 0; i-- {
		if s := stages[i]; strings.EqualFold(s.name, name) && name != "" || strconv.Itoa(i) == name {
			return s
		}
	}
	return nil
}

// repository is an image's name without registry, tag and digest.
// PHP's variant with a server of its own, php:8-fpm, is php-fpm.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	tag := ""
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, tag = name[:colon], name[colon:]
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
	if name == "php" && strings.Contains(tag, "fpm") {
		name = "php-fpm"
	}
	return name
}

// build applies the instructions of a stage, after those of the stage that it
// is built on.
func (img *image) build(stages []*stage, s *stage) {
	if s == nil {
		return
	}
	if base := find(stages[:s.number], s.image); base != nil {
		img.build(stages, base)
	} else {
		img.base, img.baseLine = repository(s.image), s.line
	}
	ownCommand := false
	for _, i := range s.instructions {
		switch i.name {
		case "ENTRYPOINT":
			img.entrypoint = i.command(img.file, i.args)
			if !ownCommand {
				img.command = &command{} // of the base: reset
			}
		case "CMD":
			img.command = i.command(img.file, i.args)
			ownCommand = true
		case "HEALTHCHECK":
			img.healthcheck = i.healthcheck(img.file)
		case "USER":
			img.user = i.value(img.file)
		case "STOPSIGNAL":
			img.stopSignal = i.value(img.file)
		case "ENV":
			for _, v := range i.variables(img.file) {
				img.environment.set(v)
			}
		}
	}
}

// value is the argument as it is.
func (i *instruction) value(file string) *variable {
	v := &variable{name: i.name, file: file, scalar: scalar{line: i.line}}
	v.text, v.unknown = interpolate(i.args)
	return v
}

// variables are those of ENV A=b C=d, or of ENV A b.
func (i *instruction) variables(file string) []*variable {
	raw := rawWords(i.args)
	if len(raw) > 0 && !strings.Contains(raw[0], "=") {
		end := max(strings.IndexAny(i.args, space), 0)
		raw = []string{i.args[:end] + "=" + strings.Trim(i.args[end:], space)}
	}
	var all []*variable
	for _, w := range raw {
		if name, value, ok := strings.Cut(w, "="); ok {
			all = append(all, &variable{name: name, file: file,
				scalar: scalar{line: i.line, text: unquote(value), unknown: strings.Contains(value, "$")}})
		}
	}
	return all
}

// unquote takes quotes and backslashes away.
func unquote(s string) string {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
