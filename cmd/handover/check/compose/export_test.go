package compose

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Service is what the reader takes out of one service, for comparisons.
type Service struct {
	Name                              string
	Labels, Environment               map[string]string // those whose value is known
	Scalars                           map[string]string // known ones, by field
	Grace                             time.Duration
	Ports                             []string // published:target/protocol
	Devices                           []string // source:target:permissions
	Networks                          map[string][]string
	Mounts                            []string // kind:source:target
	Entrypoint, Command, Test         []string
	TestDisabled                      bool
	Context, Dockerfile, Target       string
	DependsOn                         []string
	Elsewhere                         bool
	Unknown                           []string // fields with a variable
	UnknownLabels, UnknownEnvironment []string
	UnknownDevices, HasB              bool
}

// Read reads the services of a compose file.
func Read(path string) []Service {
	data, err := readCompose(path)
	if err != nil {
		return nil
	}
	d := &document{linter: &linter{path: path}, left: maxEntries}
	root := d.parse(data)
	if root == nil {
		return nil
	}
	var all []Service
	for _, s := range d.services(root) {
		all = append(all, s.export())
	}
	return all
}

func (s *service) export() Service {
	e := Service{
		Name: s.name, Labels: map[string]string{}, Environment: map[string]string{}, Scalars: map[string]string{},
		Networks: map[string][]string{}, Entrypoint: s.entrypoint.words, Command: s.command.words,
		Test: s.healthcheck.test.words, TestDisabled: s.healthcheck.disabled, DependsOn: slices.Sorted(slices.Values(s.dependsOn)),
		Elsewhere: len(s.elsewhere) > 0, HasB: s.build.line > 0,
	}
	if e.HasB {
		e.Context, e.Dockerfile, e.Target = s.build.context.text, s.build.dockerfile.text, s.build.target.text
	}
	known := func(all []*variable, into map[string]string) (unknown []string) {
		for _, v := range all {
			switch {
			case v.unknown:
				unknown = append(unknown, v.name)
			case v.set():
				into[v.name] = v.text
			}
		}
		return unknown
	}
	e.UnknownLabels, e.UnknownEnvironment = known(s.labels, e.Labels), known(s.environment, e.Environment)
	fields := maps.Clone(s.fields)
	fields["context"] = s.build.context
	for name, v := range fields {
		switch {
		case v == nil:
		case v.set() && v.unknown:
			e.Unknown = append(e.Unknown, name)
		case v.set():
			e.Scalars[name] = v.text
		}
	}
	for name, c := range map[string]*command{"entrypoint": s.entrypoint, "command": s.command, "test": s.healthcheck.test} {
		if c.unknown {
			e.Unknown = append(e.Unknown, name)
		}
	}
	e.Grace, _ = parseDuration(s.get("stop_grace_period").text)
	for _, p := range s.ports {
		e.Ports = append(e.Ports, p.published+":"+p.target+"/"+p.protocol)
	}
	for _, d := range s.devices {
		e.Devices = append(e.Devices, d.source+":"+d.target+":"+d.permissions)
		e.UnknownDevices = e.UnknownDevices || d.unknown
	}
	for _, n := range s.networks {
		e.Networks[n.name] = nil
		for _, a := range n.addresses {
			e.Networks[n.name] = append(e.Networks[n.name], a.name+"="+a.text)
		}
	}
	for _, m := range s.mounts {
		e.Mounts = append(e.Mounts, m.kind+":"+m.source+":"+m.target)
	}
	slices.Sort(e.Mounts)
	return e
}

// Instruction is one instruction as the Dockerfile's reader sees it.
type Instruction struct {
	Line  int
	Name  string
	Flags []string
	Args  string
	List  []string // if it is a list in JSON
	JSON  bool
	Env   []string // of ENV: name=value
	Test  []string // of HEALTHCHECK
}

// ReadDockerfile takes a Dockerfile apart.
func ReadDockerfile(text string) ([]Instruction, error) {
	all, err := parseDockerfile(text)
	var exported []Instruction
	for _, i := range all {
		e := Instruction{Line: i.line, Name: i.name, Flags: i.flags, Args: i.args}
		e.List, e.JSON = execForm(i.args)
		switch i.name {
		case "ENV":
			for _, v := range i.variables("") {
				e.Env = append(e.Env, v.name+"="+v.text)
			}
		case "HEALTHCHECK":
			e.Test = i.healthcheck("").test.words
		}
		exported = append(exported, e)
	}
	return exported, err
}

// Image is what a Dockerfile makes of its base image.
type Image struct {
	Base, User, StopSignal string
	Entrypoint, Command    string
	Environment            []string
}

// ReadImage follows a Dockerfile to the stage that is built.
func ReadImage(text, target string) (Image, error) {
	img, err := newImage("Dockerfile", text, target)
	if err != nil {
		return Image{}, err
	}
	e := Image{Base: img.base, User: img.user.text, StopSignal: img.stopSignal.text,
		Entrypoint: strings.Join(img.entrypoint.argv(), " "), Command: strings.Join(img.command.argv(), " ")}
	for _, v := range img.environment.list {
		e.Environment = append(e.Environment, v.name+"="+v.text)
	}
	return e, err
}

// Words, ParseDuration and ShortDuration are for tables.
var (
	Words         = words
	ParseDuration = parseDuration
	ShortDuration = short
)
