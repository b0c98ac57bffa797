package compose

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// service is what matters of one service of the compose file, and what was
// found beside the file.
type service struct {
	name string
	line int

	fields              map[string]*scalar // those of scalarFields that are there
	labels, environment []*variable
	build               build
	networks            []*network
	ports               []*port
	devices             []*device
	mounts              []*mount
	entrypoint, command *command
	healthcheck         *healthcheck
	dependsOn           []string
	// elsewhere are the keys that bring in what is not read: extends, …
	elsewhere []*variable

	context                  // what lies in the build context
	variables    []*variable // the environment as the container has it
	group, port  string      // of the announcements of handover-lib
	usesHandover bool
	assumed      bool // that it uses handover
	usesLib      bool
	settings     settings
}

// scalarFields are the fields that have one value.
const scalarFields = "image stop_grace_period restart network_mode mac_address container_name privileged read_only init tty " +
	"stdin_open pid user stop_signal"

// get is the value of one of the scalarFields.
func (s *service) get(field string) *scalar {
	if v := s.fields[field]; v != nil {
		return v
	}
	return &scalar{}
}

// build is where the image comes from. No line: it is not built.
type build struct {
	line                        int
	context, dockerfile, target *scalar
	inline                      bool // the Dockerfile stands in the compose file
}

// command is a program and its arguments.
type command struct {
	line    int // 0: not set
	file    string
	words   []string
	shell   string // the text, if a shell runs it
	unknown bool
}

func (c *command) set() bool { return c.line > 0 }

func (c *command) place() place { return place{c.file, c.line} }

// argv is what is executed.
func (c *command) argv() []string {
	if c.shell != "" {
		return []string{"/bin/sh", "-c", c.shell}
	}
	return c.words
}

// maxServices is far more than any device has.
const maxServices = 1000

// services reads all services. None is an error.
func (d *document) services(root *yaml.Node) []*service {
	entry := pair{line: root.Line, value: &yaml.Node{}}
	for _, p := range d.pairs(root) {
		if p.name == "services" {
			entry = p
		}
	}
	if entry.value.Kind != yaml.MappingNode || len(entry.value.Content) == 0 {
		d.wrong(entry.line, "there are no services", "balena builds what stands below services: at the top",
			"write the services' names below services:, indented, each with a colon")
		return nil
	}
	var all []*service
	for i, p := range d.pairs(entry.value) {
		if i == maxServices {
			d.wrong(p.line, "there are more than "+strconv.Itoa(maxServices)+" services", "the rest is not looked at", "")
		}
		if i >= maxServices || d.left < 0 {
			break
		}
		if strings.HasPrefix(p.name, "x-") {
			continue
		}
		if p.value.Kind != yaml.MappingNode {
			d.wrong(p.line, "the service "+quoted(p.name)+" is no mapping", "", "write its settings below it, indented")
			continue
		}
		s := d.service(p)
		if !s.get("image").set() && s.build.line == 0 && !s.has("extends") {
			d.wrong(p.line, "the service "+quoted(p.name)+" has neither build nor image", "balena and Compose refuse the file",
				"write build: with the folder of its Dockerfile")
		}
		all = append(all, s)
	}
	return all
}

// service reads one service. Fields that do not matter here are skipped.
func (d *document) service(p pair) *service {
	s := &service{
		name: p.name, line: p.line, fields: map[string]*scalar{},
		build: newBuild(pair{}), entrypoint: &command{}, command: &command{}, healthcheck: newHealthcheck(0, ""),
	}
	for _, f := range d.pairs(p.value) {
		switch f.name {
		case "labels":
			s.labels = d.variables(f.value)
		case "environment":
			s.environment = d.variables(f.value)
		case "build":
			s.build = d.build(f)
		case "entrypoint":
			s.entrypoint = d.command(f)
		case "command":
			s.command = d.command(f)
		case "healthcheck":
			s.healthcheck = d.healthcheck(f)
		case "ports":
			s.ports = d.ports(f)
		case "devices":
			s.devices = d.devices(f)
		case "networks":
			s.networks = d.networks(f)
		case "volumes", "tmpfs":
			s.mounts = append(s.mounts, d.volumes(f)...)
		case "depends_on":
			s.dependsOn = d.names(f)
		case "extends", "env_file", "label_file":
			if !isNull(f.value) {
				s.elsewhere = append(s.elsewhere, &variable{name: f.name, scalar: scalar{line: f.line}})
			}
		default:
			if oneOf(f.name, scalarFields) {
				s.fields[f.name] = newScalar(f.value, f.line)
			}
		}
	}
	return s
}

// scalars reads a mapping of single values. What is not there is not set.
func (d *document) scalars(m *yaml.Node) map[string]*scalar {
	all := map[string]*scalar{}
	for _, p := range d.pairs(m) {
		all[p.name] = newScalar(p.value, p.line)
	}
	return all
}

func newBuild(f pair) build {
	return build{line: f.line, context: &scalar{text: ".", line: f.line}, dockerfile: &scalar{}, target: &scalar{}}
}

// build reads `build: .` and the long form.
func (d *document) build(f pair) build {
	b := newBuild(f)
	if f.value.Kind != yaml.MappingNode {
		b.context = newScalar(f.value, f.line)
	}
	for name, v := range d.scalars(f.value) {
		switch name {
		case "context":
			b.context = v
		case "dockerfile":
			b.dockerfile = v
		case "target":
			b.target = v
		case "dockerfile_inline":
			b.inline = true
		}
	}
	return b
}

// command reads a command as a list, or as one text, which no shell runs.
func (d *document) command(f pair) *command {
	c := &command{}
	if isNull(f.value) {
		return c
	}
	c.line = f.line
	for _, item := range d.items(f.value, f.line) {
		v := newScalar(item.value, item.line)
		c.unknown = c.unknown || v.unknown
		c.words = append(c.words, v.text)
	}
	if f.value.Kind == yaml.ScalarNode {
		c.words = words(c.words[0])
	}
	return c
}

// names are those of a list, or the keys of a mapping.
func (d *document) names(f pair) []string {
	var all []string
	for _, p := range d.pairs(f.value) {
		all = append(all, p.name)
	}
	if f.value.Kind == yaml.SequenceNode {
		all = d.command(f).words
	}
	return all
}

// has reports whether something that is not read can have been brought in by
// one of these keys.
func (s *service) has(keys string) bool {
	for _, e := range s.elsewhere {
		if oneOf(e.name, keys) {
			return true
		}
	}
	return false
}

// version looks at the version of the file format.
func (l *linter) version(d *document, root *yaml.Node) {
	for _, p := range d.pairs(root) {
		if p.name != "version" {
			continue
		}
		if v := newScalar(p.value, p.line); !oneOf(v.text, "2 2.0 2.1 2.2 2.3 2.4") {
			l.add(check.Finding{Level: check.Warning, Check: checkVersion, Line: p.line,
				Found: "the version of the file format is " + quoted(v.text),
				Why:   "balena knows the fields of versions 2.1 to 2.4; its command line refused any other version for years",
				Do:    `write version: "2.4"`})
		}
		return
	}
	l.add(check.Finding{Level: check.Note, Check: checkVersion, Line: root.Line, Found: "the version of the file format is not said",
		Why: "Compose and newer versions of balena's command line do without; older ones take the file for one of version 1 and refuse it"})
}
