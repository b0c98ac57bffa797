package compose

import (
	"strconv"
	"strings"
	"time"

	"github.com/handover-controller/handover/cmd/handover/check"
	"github.com/handover-controller/handover/config"
)

// The labels that matter.
const (
	labelStrategy      = "io.balena.update.strategy"
	labelTimeout       = "io.balena.update.handover-timeout"
	labelSupervisorAPI = "io.balena.features.supervisor-api"
)

const handOver = "hand-over"

// label finds a label. The Supervisor takes io.resin.… for io.balena.…, unless
// that is there, too.
func (s *service) label(name string) *variable {
	if v := lookup(s.labels, name); v.line > 0 {
		return v
	}
	return lookup(s.labels, strings.Replace(name, "balena", "resin", 1))
}

// nearMiss finds a label that was meant to be this one.
func (s *service) nearMiss(name string) *variable {
	for _, v := range s.labels {
		plain := plainLabel(v.name)
		near := plain == plainLabel(name) || "io"+plain == plainLabel(name)
		if !near && strings.HasPrefix(plain, "io") {
			near = distance(plain, plainLabel(name)) <= 2
		}
		if near && v.name != name {
			return v
		}
	}
	return &variable{}
}

// plainLabel takes away what people get wrong.
func plainLabel(name string) string {
	name = strings.NewReplacer(".", "", "-", "", "_", "", " ", "").Replace(strings.ToLower(name))
	return strings.Replace(name, "resin", "balena", 1)
}

// distance counts the letters to insert, delete or replace, as far as 64 bytes
// of each.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, replaced)
		}
	}
	return row[len(b)]
}

// strategies are those that the Supervisor knows.
const strategies = "download-then-kill kill-then-download delete-then-download " + handOver

// isHandOver reports whether a value is, or was meant to be, hand-over.
func isHandOver(value string) bool {
	return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(value)) == "handover"
}

// wantsHandOver reports whether the service hands over, or was meant to.
func (s *service) wantsHandOver() bool {
	v := s.label(labelStrategy)
	if v.line == 0 {
		v = s.nearMiss(labelStrategy)
	}
	if v.known() {
		return isHandOver(v.text) || s.usesHandover && !oneOf(v.text, strategies)
	}
	return s.usesHandover // nothing is said, or a ${VARIABLE}
}

// strategy looks at the label that makes the Supervisor hand over at all.
func (l *linter) strategy(s *service) {
	const interrupts = "the Supervisor stops the old container before it starts the new one: every update interrupts the service"
	v := s.label(labelStrategy)
	miss := s.nearMiss(labelStrategy)
	switch {
	case v.line == 0 && miss.line > 0 && (s.usesHandover || isHandOver(miss.text) || miss.unknown):
		l.say(s, check.Error, checkStrategy, miss.line, "the label is called "+quoted(miss.name)+", which the Supervisor does not know",
			interrupts, "write "+labelStrategy+": hand-over")
	case v.line == 0 && s.usesHandover && !s.has("extends label_file"):
		l.say(s, check.Error, checkStrategy, s.line, "the label "+labelStrategy+" is missing",
			interrupts+"; handover has nothing to do", "add it to labels: "+labelStrategy+": hand-over")
	case v.line == 0 || v.unknown:
	case v.text == handOver:
		l.strategyOK(s, v)
	case isHandOver(v.text):
		l.say(s, check.Error, checkStrategy, v.line, "the label "+v.name+" is "+quoted(v.text)+", which the Supervisor does not know",
			"it then takes its default, download-then-kill: "+interrupts, "write hand-over, in small letters and with a hyphen")
	case !oneOf(v.text, strategies):
		level := check.Warning
		if s.usesHandover {
			level = check.Error
		}
		l.say(s, level, checkStrategy, v.line, "the label "+v.name+" is "+quoted(v.text)+", which the Supervisor does not know",
			"it then takes its default, download-then-kill: "+interrupts, "write one of "+strings.ReplaceAll(strategies, " ", ", "))
	case s.usesHandover:
		l.say(s, check.Note, checkStrategy, v.line, "handover guards the service, and its strategy is "+v.text,
			interrupts+"; handover has nothing to do", "")
	}
}

func (l *linter) strategyOK(s *service, v *variable) {
	found := "hands over at updates"
	switch c := s.settings.config; {
	case s.assumed:
	case s.usesHandover && c != nil && s.settings.judged("service.stop_grace_period"):
		found += ", by handover; a new container has " + short(toReady(c)) + " to become ready"
	case s.usesHandover:
		found += ", by handover"
	case s.usesLib:
		found += ", by handover-lib"
	}
	l.say(s, check.OK, checkStrategy, v.line, found, "", "")
	if strings.HasPrefix(v.name, "io.resin.") {
		l.say(s, check.Note, checkStrategy, v.line, "the label has its old name, "+v.name,
			"Supervisors from v7.22 on take io.resin.… for io.balena.…", "")
	}
}

// defaultTimeout is what the Supervisor takes for what is no time-out.
const defaultTimeout = 60 * time.Second

// timeout looks at the time that old Supervisors let both containers run.
func (l *linter) timeout(s *service) {
	v := s.label(labelTimeout)
	if v.line == 0 {
		if miss := s.nearMiss(labelTimeout); miss.line > 0 {
			l.say(s, check.Warning, checkTimeout, miss.line, "the label is called "+quoted(miss.name)+", which the Supervisor does not know",
				"Supervisors up to v14.13.9 then wait 60 s", "write "+labelTimeout)
			return
		}
		if !s.has("extends label_file") {
			l.say(s, check.Note, checkTimeout, s.line, "the label "+labelTimeout+" is missing",
				"Supervisors up to v14.13.9 then let both containers run for 60 s at most; newer ones do not look at it", "")
		}
		return
	}
	if v.unknown {
		return
	}
	ms, ok := wholeNumber(v.text)
	if !ok || ms <= 0 {
		do := `write milliseconds, a whole number in quotes: "60000"`
		if d, isDuration := parseDuration(v.text); isDuration && d >= time.Millisecond {
			do = "write " + milliseconds(d) + " if " + short(d) + " are meant: milliseconds, a whole number in quotes"
		}
		l.say(s, check.Warning, checkTimeout, v.line, "the label "+v.name+" is "+quoted(v.text)+", which is no number of milliseconds",
			"Supervisors up to v14.13.9 silently take 60000 for it; newer ones do not look at it", do)
		return
	}
	wait := defaultTimeout
	if ms < maxDuration.Milliseconds() {
		wait = time.Duration(ms) * time.Millisecond
	}
	grace, ok := s.gracePeriod()
	if ok && wait < grace {
		l.say(s, check.Warning, checkTimeout, v.line,
			"the label "+v.name+" is "+short(wait)+", less than the grace period, "+short(grace),
			"on Supervisors up to v14.13.9 a new container has less time to become ready than on newer ones",
			"write "+milliseconds(grace))
	}
}

// milliseconds is a duration as it stands in the label.
func milliseconds(d time.Duration) string {
	return strconv.Quote(strconv.FormatInt(d.Milliseconds(), 10))
}

// wholeNumber reads what the Supervisor takes for one: 60000, and 60000.0.
func wholeNumber(text string) (int64, bool) {
	whole, zeros, dot := strings.Cut(text, ".")
	if dot && strings.Trim(zeros, "0") != "" {
		return 0, false
	}
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	return n, err == nil
}

// supervisorAPI looks at the label that makes the Supervisor give the container
// an address and a key.
func (l *linter) supervisorAPI(s *service) {
	v := s.label(labelSupervisorAPI)
	if v.unknown || v.known() && oneOf(strings.ToLower(strings.TrimSpace(v.text)), "1 true on") {
		return
	}
	if v.line == 0 && s.has("extends label_file") {
		return
	}
	c := s.settings.config
	if c != nil && c.Supervisor.Address != "" && c.Supervisor.Address != supervisorAddress {
		return // it is given one by hand
	}
	at, found := s.line, "the label "+labelSupervisorAPI+" is missing"
	if miss := s.nearMiss(labelSupervisorAPI); v.line > 0 {
		at, found = v.line, "the label "+v.name+" is "+quoted(v.text)+", not 1"
	} else if miss.line > 0 {
		at, found = miss.line, "the label is called "+quoted(miss.name)+", which the Supervisor does not know"
	}
	const do = "write " + labelSupervisorAPI + `: "1"`
	switch {
	case c != nil && c.Supervisor.Mode == config.SupervisorRequired:
		l.say(s, check.Error, checkSupervisorAPI, at, found+", and supervisor.mode is required",
			"the container gets no address of the Supervisor: handover ends with status 78 before it starts the service", do)
	case c != nil && c.Supervisor.Mode == config.SupervisorOff:
		l.say(s, check.Note, checkSupervisorAPI, at, found+", and supervisor.mode is off",
			"the announcements alone decide, as with handover-lib: a new container that announces itself and crashes ends the old one", "")
	default:
		l.say(s, check.Warning, checkSupervisorAPI, at, found,
			"the container gets no address of the Supervisor: the announcements alone decide, and a new container that announces itself and crashes ends the old one", do)
	}
}
