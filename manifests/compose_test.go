package manifests_test

import (
	"errors"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// composeFile is the part of the format that the example uses: any other field
// is an error.
type composeFile struct {
	Version  string                    `yaml:"version"`
	Services map[string]composeService `yaml:"services"`
}

type composeService struct {
	Build           string               `yaml:"build"`
	Restart         string               `yaml:"restart"`
	StopGracePeriod string               `yaml:"stop_grace_period"`
	Labels          map[string]yaml.Node `yaml:"labels"`
	Ports           []yaml.Node          `yaml:"ports"`
	Expose          []string             `yaml:"expose"`
	Environment     map[string]string    `yaml:"environment"`
}

// The labels, and the form of their values, that Supervisors know.
var labels = map[string]*regexp.Regexp{
	"io.balena.update.strategy":         regexp.MustCompile(`^hand-over$`),
	timeoutLabel:                        regexp.MustCompile(`^[1-9][0-9]*$`),
	"io.balena.features.supervisor-api": regexp.MustCompile(`^1$`),
}

const (
	timeoutLabel  = "io.balena.update.handover-timeout"
	graceVariable = "HANDOVER_SERVICE_STOP_GRACE_PERIOD"
)

// parseCompose reads a compose file in which nothing may stand twice and
// nothing may be unknown.
func parseCompose(text string) (composeFile, error) {
	var file composeFile
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return file, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return file, errors.New("there is a second document")
	}
	return file, nil
}

// checkCompose is what is wrong with a compose file, used with these settings.
func checkCompose(text, settings string) faults {
	var f faults
	file, err := parseCompose(text)
	if err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	if !slices.Contains([]string{"2.1", "2.2", "2.3", "2.4"}, file.Version) {
		f.add("version %q is none that balena knows", file.Version)
	}
	if len(file.Services) == 0 {
		f.add("there is no service")
	}
	for name, s := range file.Services {
		f = append(f, s.check(name, settings)...)
	}
	return f
}

func (s composeService) check(name, settings string) faults {
	var f faults
	if s.Build != "." {
		f.add("build is %q, which is not the folder of Dockerfile.template", s.Build)
	}
	if s.Restart != "always" {
		f.add("restart is %q, not always", s.Restart)
	}
	if s.Ports != nil {
		f.add("ports cannot be shared by two containers")
	}
	for label, form := range labels {
		value, ok := s.Labels[label]
		switch {
		case !ok:
			f.add("label %s is missing", label)
		case value.ShortTag() != "!!str":
			f.add("label %s is not a text but %s: put it in quotes", label, value.ShortTag())
		case !form.MatchString(value.Value):
			f.add("label %s is %q, which does not match %v", label, value.Value, form)
		}
	}
	for label := range s.Labels {
		if labels[label] == nil {
			f.add("label %s is unknown", label)
		}
	}

	grace, err := time.ParseDuration(s.StopGracePeriod)
	if err != nil {
		f.add("stop_grace_period: %v", err)
	}
	timeout := s.Labels[timeoutLabel]
	if ms, err := strconv.Atoi(timeout.Value); err == nil && time.Duration(ms)*time.Millisecond < grace {
		f.add("label %s is %d ms, less than stop_grace_period, %v", timeoutLabel, ms, grace)
	}
	said, err := time.ParseDuration(s.Environment[graceVariable])
	if err != nil {
		f.add("%s: %v", graceVariable, err)
	} else if said != grace {
		f.add("%s is %v, stop_grace_period is %v", graceVariable, said, grace)
	}
	return append(f, s.checkEnvironment(name, settings)...)
}

// checkEnvironment loads the environment, as it is and with the settings.
func (s composeService) checkEnvironment(name, settings string) faults {
	var f faults
	environ := []string{"BALENA_SERVICE_NAME=" + name}
	for variable, value := range s.Environment {
		environ = append(environ, variable+"="+value)
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
		c := loaded.Config
		if got := c.Service.StopGracePeriod.String(); got != normal(s.StopGracePeriod) {
			f.add("handover takes the grace period for %s", got)
		}
		if u, err := url.Parse(c.Readiness.HTTP); err != nil || !slices.Contains(s.Expose, u.Port()) {
			f.add("the port of %q is not exposed", c.Readiness.HTTP)
		}
	}
	return f
}

// normal is a duration in its usual form, or as it is if it is none.
func normal(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return d.String()
}
