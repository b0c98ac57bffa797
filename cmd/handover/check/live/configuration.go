package live

import (
	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

const whyWarning = "a setting that is not read has no effect, and nobody is told when it is needed"

func (f *facts) judgeConfiguration(r *report) {
	if file := f.loaded.File; file != "" {
		r.ok(configFile, "the configuration was read from %s and from the environment", file)
	} else {
		r.ok(configFile, "there is no configuration file: the environment and the defaults count")
	}
	warnings(r, f.loaded.Warnings)
}

func warnings(r *report, all []string) {
	for _, w := range all {
		r.warn(configWarning, "%s", w).because(
			whyWarning,
			"correct or remove it")
	}
}

// Problems reports a configuration that cannot be used: each problem is an
// error of its own, with the place in the file if it is in one.
func Problems(bad *config.Error) check.Report {
	var r report
	for _, p := range bad.Problems {
		do := p.Hint
		if p.Nearest != "" {
			do = join(do, "the nearest known key is "+p.Nearest)
		}
		if p.Allowed != "" {
			do = join(do, "allowed: "+p.Allowed)
		}
		if do == "" {
			do = "correct it; config/README.md has every key"
		}
		found := p
		found.File, found.Line, found.Hint, found.Nearest, found.Allowed = "", 0, "", "", ""
		r.findings.Add(check.Finding{
			Level: check.Error, Check: string(configProblem), File: p.File, Line: p.Line, Found: found.Error(),
			Why: "handover run does not start the service with it: it ends with exit status 78", Do: do,
		})
	}
	warnings(&r, bad.Warnings)
	return r.findings
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
