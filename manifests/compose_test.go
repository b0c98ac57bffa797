package manifests_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/handover-controller/handover/config"
)

// composeFile is a compose file as Compose understands it, and as it is written.
type composeFile struct {
	services types.Services
	written  struct {
		Version  string
		Services map[string]map[string]yaml.Node
	}
}

// The labels, and the form of their values, that Supervisors know.
var labels = map[string]*regexp.Regexp{
	strategyLabel:                       regexp.MustCompile(`^hand-over$`),
	timeoutLabel:                        regexp.MustCompile(`^[1-9][0-9]*$`),
	"io.balena.features.supervisor-api": regexp.MustCompile(`^1$`),
}

const (
	strategyLabel = "io.balena.update.strategy"
	timeoutLabel  = "io.balena.update.handover-timeout"
	graceVariable = "HANDOVER_SERVICE_STOP_GRACE_PERIOD"
)

// Of the fields of a service that balena knows, those that the examples use.
// Volumes are not among them: balena mounts no files of the project.
var balenaFields = []string{
	"build", "devices", "environment", "expose", "labels", "network_mode", "ports", "restart", "stop_grace_period",
}

var versionLine = regexp.MustCompile(`(?m)^version:.*$`)

// parseCompose reads a compose file as Compose does, in which nothing may stand
// twice and nothing may be unknown.
func parseCompose(text string) (composeFile, error) {
	var file composeFile
	d := yaml.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&file.written); err != nil {
		return file, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return file, errors.New("there is a second document")
	}
	// Compose ignores the version and says so each time; balena wants it.
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: versionLine.ReplaceAll([]byte(text), nil)}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName("example", true)
		o.SkipNormalization, o.ResolvePaths = true, false
	})
	if err != nil {
		return file, err
	}
	file.services = project.Services
	return file, nil
}

// composeExamples are the compose files, each with what is wrong if it does not
// show what it is for.
var composeExamples = map[string]func(folder string, file composeFile, settings map[string]config.Config) faults{
	"docker-compose.yml":        checkPlain,
	"proxy/docker-compose.yml":  checkProxy,
	"serial/docker-compose.yml": checkSerial,
	"host/docker-compose.yml":   checkHost,
}

// checkCompose is what is wrong with an example that says this, used with these
// settings.
func checkCompose(name, text, settings string) faults {
	var f faults
	file, err := parseCompose(text)
	if err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	if version := file.written.Version; !slices.Contains([]string{"2.1", "2.2", "2.3", "2.4"}, version) {
		f.add("version %q is none that balena knows", version)
	}
	f = append(f, checkExplained(text)...)
	loaded := map[string]config.Config{}
	for service, s := range file.services {
		for field := range file.written.Services[service] {
			if !slices.Contains(balenaFields, field) {
				f.add("%s: %s is no field that is used here", service, field)
			}
		}
		if s.Restart != "always" {
			f.add("%s: restart is %q, not always", service, s.Restart)
		}
		if s.Build == nil {
			f.add("%s: it is not built", service)
			continue
		}
		if isFront(s) {
			f = append(f, checkFront(path.Dir(name), s)...)
			continue
		}
		f = append(f, checkLabels(file.written.Services[service]["labels"])...)
		f = append(f, checkService(s)...)
		c, wrong := loadEnvironment(s, settings)
		f = append(f, wrong...)
		loaded[service] = c
	}
	if len(loaded) != 1 {
		f.add("%d services hand over", len(loaded))
	}
	return append(f, composeExamples[name](path.Dir(name), file, loaded)...)
}

var leafLine = regexp.MustCompile(`^ *[\w.-]+: +\S`)

// checkExplained is which settings have no comment directly above them. Lists
// have theirs above their name.
func checkExplained(text string) faults {
	var f faults
	before := ""
	for i, line := range strings.Split(text, "\n") {
		if leafLine.MatchString(line) && !commentLine.MatchString(before) {
			f.add("line %d has no comment above it: %s", i+1, line)
		}
		before = line
	}
	return f
}

// isFront tells a service that has ports of the device and nothing of a
// hand-over.
func isFront(s types.ServiceConfig) bool {
	for variable := range s.Environment {
		if strings.HasPrefix(variable, "HANDOVER_") {
			return false
		}
	}
	return len(s.Labels) == 0 && len(s.Ports) > 0
}

func checkFront(folder string, s types.ServiceConfig) faults {
	var f faults
	if _, err := os.Stat(filepath.Join(folder, s.Build.Context, "Dockerfile")); err != nil || s.Build.Context == "." {
		f.add("%s: build is %q, which is not the folder of a Dockerfile of its own", s.Name, s.Build.Context)
	}
	return f
}

// checkLabels looks at labels as they are written: what is no text is one for
// Compose and not for balena.
func checkLabels(written yaml.Node) faults {
	var f faults
	var all map[string]yaml.Node
	if err := written.Decode(&all); err != nil {
		f.add("labels: %v", err)
	}
	for label, form := range labels {
		value, ok := all[label]
		switch {
		case !ok:
			f.add("label %s is missing", label)
		case value.ShortTag() != "!!str":
			f.add("label %s is not a text but %s: put it in quotes", label, value.ShortTag())
		case !form.MatchString(value.Value):
			f.add("label %s is %q, which does not match %v", label, value.Value, form)
		}
	}
	for label := range all {
		if labels[label] == nil {
			f.add("label %s is unknown", label)
		}
	}
	return f
}

func checkService(s types.ServiceConfig) faults {
	var f faults
	if s.Build.Context != "." || s.Build.Dockerfile != "" {
		f.add("build is %q, which is not the folder of Dockerfile.template", s.Build.Context)
	}
	if s.Ports != nil {
		f.add("ports cannot be shared by two containers")
	}
	if s.StopGracePeriod == nil {
		f.add("stop_grace_period is missing")
		return f
	}
	grace := time.Duration(*s.StopGracePeriod)
	if ms, err := strconv.Atoi(s.Labels[timeoutLabel]); err == nil && time.Duration(ms)*time.Millisecond < grace {
		f.add("label %s is %d ms, less than stop_grace_period, %v", timeoutLabel, ms, grace)
	}
	if s.Environment[graceVariable] == nil {
		f.add("%s is missing", graceVariable)
		return f
	}
	if said, err := time.ParseDuration(*s.Environment[graceVariable]); err != nil {
		f.add("%s: %v", graceVariable, err)
	} else if said != grace {
		f.add("%s is %v, stop_grace_period is %v", graceVariable, said, grace)
	}
	return f
}

// loadEnvironment loads the environment, as it is and with the settings. Both
// must come to the same.
func loadEnvironment(s types.ServiceConfig, settings string) (config.Config, faults) {
	var f faults
	var c config.Config
	environ := []string{"BALENA_SERVICE_NAME=" + s.Name}
	for variable, value := range s.Environment {
		if value == nil {
			f.add("%s has no value", variable)
			continue
		}
		environ = append(environ, variable+"="+*value)
	}
	for _, content := range []string{"", settings} {
		loaded, err := load(content, environ...)
		if err != nil {
			f.add("environment: %v", err)
			continue
		}
		for _, w := range loaded.Warnings {
			f.add("environment: %s", w)
		}
		c = loaded.Config
		if s.StopGracePeriod != nil && c.Service.StopGracePeriod != time.Duration(*s.StopGracePeriod) {
			f.add("handover takes the grace period for %s", c.Service.StopGracePeriod)
		}
		if u, err := url.Parse(c.Readiness.HTTP); s.NetworkMode == "" && c.Readiness.HTTP != "" && (err != nil || !slices.Contains(s.Expose, u.Port())) {
			f.add("the port of %q is not exposed", c.Readiness.HTTP)
		}
	}
	return c, f
}

func checkPlain(_ string, file composeFile, _ map[string]config.Config) faults {
	var f faults
	if len(file.services) != 1 {
		f.add("there are %d services", len(file.services))
	}
	return f
}

// least is how long a new release must have to become ready.
const least = 10 * time.Second

// checkProxy holds compose file, settings and haproxy.cfg together.
func checkProxy(folder string, file composeFile, settings map[string]config.Config) faults {
	return checkBehind(file, settings, read(filepath.Join(folder, "haproxy", "haproxy.cfg")))
}

func checkBehind(file composeFile, settings map[string]config.Config, haproxy string) faults {
	p, f := parseHAProxy(haproxy)
	for name, c := range settings {
		s := file.services[name]
		_, port, _ := strings.Cut(c.Status.Listen, ":")
		if port == "" || port != p.checkPort {
			f.add("HAProxy asks on port %s, status.listen is %s", p.checkPort, c.Status.Listen)
		}
		if p.name != name || !slices.Contains(s.Expose, p.port) || !slices.Contains(s.Expose, p.checkPort) {
			f.add("HAProxy sends to %s, port %s, and asks on %s; the service %s exposes %v", p.name, p.port, p.checkPort, name, s.Expose)
		}
		if c.Policy.Settle < p.finds()*3/2 {
			f.add("policy.settle is %v; HAProxy needs up to %v to find a container", c.Policy.Settle, p.finds())
		}
		if c.Policy.DrainDelay < p.loses()*3/2 {
			f.add("policy.drain_delay is %v; HAProxy needs up to %v to look away", c.Policy.DrainDelay, p.loses())
		}
		left := c.Hold() - c.Policy.Settle
		if left < least {
			f.add("a new release has %v to become ready", left)
		}
	}
	var published []string
	for _, s := range file.services {
		for _, port := range s.Ports {
			published = append(published, strconv.Itoa(int(port.Target)))
		}
	}
	if !slices.Equal(published, []string{p.listens}) {
		f.add("HAProxy listens on %s; published is %v", p.listens, published)
	}
	return f
}

// checkSerial is about something that only one container can have.
func checkSerial(_ string, file composeFile, settings map[string]config.Config) faults {
	var f faults
	for name, c := range settings {
		if !c.Policy.Exclusive {
			f.add("policy.exclusive is off")
		}
		if c.Policy.Standby <= 0 {
			f.add("policy.standby is off")
		}
		for _, d := range file.services[name].Devices {
			if !strings.Contains(strings.Join(c.Process.Preflight.Argv, " "), d.Target) {
				f.add("process.preflight does not ask for %s", d.Target)
			}
		}
		if len(file.services[name].Devices) == 0 {
			f.add("there is no device")
		}
		if c.Readiness.File == "" {
			f.add("there is no readiness.file")
		}
	}
	return f
}

// checkHost is about containers that share the device's network.
func checkHost(_ string, file composeFile, settings map[string]config.Config) faults {
	var f faults
	for name, c := range settings {
		s := file.services[name]
		if s.NetworkMode != "host" || c.Network.Mode != config.NetworkHost {
			f.add("network_mode is %q, network.mode is %q", s.NetworkMode, c.Network.Mode)
		}
		if c.Network.Interface != "supervisor0" {
			f.add("network.interface is %q, which is not balena's own", c.Network.Interface)
		}
		if s.Expose != nil {
			f.add("expose means nothing here")
		}
		if c.Readiness.HTTP != "" || c.Readiness.TCP != "" {
			f.add("the old service could answer the readiness check of the new one")
		}
	}
	return f
}
