package compose

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// context is what lies in a service's build context.
type context struct {
	images []*image
	// fileName and file are handover.yaml, as messages show its name; no name:
	// there is none.
	fileName string
	file     []byte
	// named is what a variable or a flag names as the configuration's file, if
	// that one was not found.
	named string
	// lib: package.json depends on handover-lib.
	lib place
	// cannot is what could not be read, and why.
	cannot []string
}

// look reads what lies beside the compose file, and finds out what the service
// is.
func (l *linter) look(s *service) {
	dir, ok := s.contextDir()
	switch {
	case s.build.inline:
		s.cannot = append(s.cannot, "a Dockerfile within the compose file is not read")
	case s.build.line > 0 && !ok:
		s.cannot = append(s.cannot, "the build context is not a folder below that of the compose file")
	case s.build.line > 0:
		l.images(s, dir)
	}
	if s.build.line > 0 && ok {
		l.packageJSON(s, dir)
	}
	s.variables = s.allVariables()
	s.group, s.port = s.channel()
	s.classify()
	if !s.usesHandover && s.build.line > 0 && ok && isHandOver(s.label(labelStrategy).text) {
		l.configFile(s, dir)
		s.usesHandover = s.fileName != ""
	}
	s.assumed = !s.usesHandover && !s.usesLib && s.unseen()
	s.usesHandover = s.usesHandover || s.assumed
	if s.usesHandover {
		if s.build.line > 0 && ok {
			l.configFile(s, dir)
		}
		s.load()
	}
}

func (l *linter) images(s *service, dir string) {
	names := l.dockerfiles(s, dir)
	if len(names) == 0 {
		s.cannot = append(s.cannot, "there is no Dockerfile in "+l.beside(dir))
	}
	target := ""
	if s.build.target.known() {
		target = s.build.target.text
	}
	for _, name := range names {
		shown := l.beside(name)
		data, err := l.files.read(name)
		var img *image
		if err == nil {
			img, err = newImage(shown, string(data), target)
			if before, _, template := strings.Cut(string(data), "%%BALENA_"); template && path.Base(name) == "Dockerfile" {
				l.sayAt(s, check.Error, checkFile, place{shown, 1 + strings.Count(before, "\n")}, "%%BALENA_…%% stands in a Dockerfile",
					"balena puts values in its place in Dockerfile.template only: the build fails", "call the file Dockerfile.template")
			}
		}
		if err != nil {
			s.cannot = append(s.cannot, shown+" is not read: "+reason(err))
			continue
		}
		s.images = append(s.images, img)
	}
}

func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no such file"
	}
	return err.Error()
}

func (l *linter) packageJSON(s *service, dir string) {
	name := path.Join(dir, "package.json")
	data, err := l.files.read(name)
	if err != nil {
		return
	}
	var p struct {
		Dependencies         map[string]json.RawMessage `json:"dependencies"`
		OptionalDependencies map[string]json.RawMessage `json:"optionalDependencies"`
	}
	if json.Unmarshal(data, &p) != nil {
		return
	}
	const lib = "handover-lib"
	if p.Dependencies[lib] == nil && p.OptionalDependencies[lib] == nil {
		return
	}
	before, _, _ := strings.Cut(string(data), `"`+lib+`"`)
	s.lib = place{file: l.beside(name), line: 1 + strings.Count(before, "\n")}
}

// configFile finds the configuration's file: the one of that name in the build
// context, wherever the image has it.
func (l *linter) configFile(s *service, dir string) {
	name := "handover.yaml"
	if named := s.namedFile(); named != "" {
		name = path.Base(named)
		s.named = named
	}
	data, err := l.files.read(path.Join(dir, name))
	if err != nil {
		if len(s.images) > 0 && s.images[0].mentions {
			s.named = name
		}
		return
	}
	s.fileName, s.file, s.named = l.beside(path.Join(dir, name)), data, ""
}

// namedFile is what --config or HANDOVER_CONFIG names.
func (s *service) namedFile() string {
	for _, st := range s.starts() {
		if st.config != "" {
			return st.config
		}
	}
	if v := lookup(s.variables, "HANDOVER_CONFIG"); v.set() {
		return v.text
	}
	return ""
}

// allVariables is the environment as the container has it: that of the image,
// and over it the compose file's.
func (s *service) allVariables() []*variable {
	var all variables
	if len(s.images) > 0 {
		for _, v := range s.images[0].environment.list {
			all.set(v)
		}
	}
	for _, v := range s.environment {
		all.set(v)
	}
	return all.list
}

// libVariables are handover-lib's own.
const libVariables = "SHUTDOWN_PORT SHUTDOWN_BROADCAST_ADDRESS"

// classify finds out which program hands over.
func (s *service) classify() {
	for _, st := range s.starts() {
		s.usesHandover = s.usesHandover || st.found && (st.sub == "run" || st.sub == "")
	}
	for _, img := range s.images { // the compose file may have another entry point
		if st := findStart(img.entrypoint, img.command); st.found && st.sub == "run" {
			s.usesHandover = true
		}
	}
	for _, v := range s.variables {
		switch {
		case strings.HasPrefix(v.name, "HANDOVER_") && !oneOf(v.name, "HANDOVER_NETWORK_MODE HANDOVER_STATUS_PORT"):
			s.usesHandover = true
		case oneOf(v.name, libVariables):
			s.usesLib = true
		}
	}
	s.usesLib = (s.usesLib && isHandOver(s.label(labelStrategy).text) || s.lib.line > 0) && !s.usesHandover
}

// unseen reports whether the service hands over, and nothing here tells which
// program does it: the image is not built here, or cannot be read.
func (s *service) unseen() bool {
	return isHandOver(s.label(labelStrategy).text) && len(s.images) == 0 && !s.entrypoint.set() && !s.has("extends")
}

// unread says what was not judged.
func (l *linter) unread(s *service) {
	note := func(line int, found, why string) {
		l.say(s, check.Note, checkUnread, line, found, why, "")
	}
	assumed := ""
	if s.assumed {
		assumed = "; the rest is judged as if handover guarded the service"
	}
	for _, e := range s.elsewhere {
		note(e.line, e.name+" is not followed", "what it brings in is not judged; not every version of balena's command line knows it")
	}
	if s.build.line > 0 {
		for _, c := range s.cannot {
			note(s.build.line, c, "what the image starts, and its HEALTHCHECK, are not judged"+assumed)
		}
	} else {
		note(s.get("image").line, "the image is not built here", "what it starts, its HEALTHCHECK and its handover.yaml are not judged"+assumed)
	}
	if s.named != "" {
		note(s.line, "the configuration's file "+quoted(path.Base(s.named))+" is not in the build context",
			"only the environment is judged")
	}
	if names := s.unknowns(); len(names) > 0 {
		note(s.line, "variables (${…}) stand in "+strings.Join(names, ", "),
			"nobody knows their values here, so these are not judged; older versions of balena's command line do not replace them at all")
	}
}

// unknowns are the fields that matter and cannot be judged.
func (s *service) unknowns() []string {
	var names []string
	add := func(unknown bool, name string) {
		if unknown {
			names = append(names, name)
		}
	}
	for _, name := range strings.Fields(scalarFields) {
		v := s.get(name)
		add(v.set() && v.unknown && name != "image", name)
	}
	add(s.build.line > 0 && s.build.context.unknown, "build")
	add(s.entrypoint.unknown, "entrypoint")
	add(s.command.unknown, "command")
	add(s.healthcheck.test.unknown, "healthcheck")
	for _, d := range s.devices {
		add(d.unknown, "devices")
	}
	for _, name := range []string{labelStrategy, labelTimeout, labelSupervisorAPI} {
		v := s.label(name)
		add(v.set() && v.unknown, v.name)
	}
	for _, v := range s.variables {
		add(v.set() && v.unknown && matters(v.name), v.name)
	}
	return slices.Compact(names)
}

// matters reports whether handover or handover-lib reads a variable.
func matters(name string) bool {
	return strings.HasPrefix(name, "HANDOVER_") ||
		oneOf(name, libVariables+" NETWORK_INTERFACE BALENA_SUPERVISOR_ADDRESS BALENA_SERVICE_HANDOVER_COMPLETE_PATH")
}
