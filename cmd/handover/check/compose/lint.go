package compose

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/handover-controller/handover/cmd/handover/check"
)

// Options says what to lint.
type Options struct {
	// Path is the compose file. What it builds is looked for below its folder.
	Path string
}

// Lint looks at a compose file and what lies beside it. The report is never
// empty.
func Lint(o Options) check.Report {
	l := &linter{path: o.Path, files: files{dir: filepath.Dir(o.Path)}}
	data, err := readCompose(o.Path)
	switch {
	case errors.Is(err, errTooLarge):
		l.tooLarge()
	case err != nil:
		l.add(check.Finding{Level: check.Error, Check: checkFile, Found: "the file cannot be read: " + err.Error(), Do: "name the compose file"})
	default:
		l.lint(data)
	}
	return l.report
}

// linter holds the report so far.
type linter struct {
	path     string // of the compose file, as it was given
	files    files
	report   check.Report
	services []*service
}

func (l *linter) lint(data []byte) {
	d := &document{linter: l, left: maxEntries}
	root := d.parse(data)
	if root == nil {
		return
	}
	l.version(d, root)
	l.services = d.services(root)
	for _, s := range l.services {
		l.look(s)
	}
	handsOver := 0
	for _, s := range l.services {
		if s.wantsHandOver() {
			handsOver++
		}
		l.judge(s)
		l.report = slices.DeleteFunc(l.report, func(f check.Finding) bool {
			return f.Level == check.OK && f.Service == s.name && l.refuted(s)
		})
	}
	l.handoverLibs()
	l.several()
	if handsOver == 0 && len(l.services) > 0 {
		l.add(check.Finding{Level: check.Note, Check: checkNone, Found: "no service hands over at updates",
			Why: "without the label " + labelStrategy + ": hand-over the Supervisor stops the old container before it starts the new one",
			Do:  "give the label to the services that must not be interrupted"})
	}
}

// refuted reports whether there is an error of the service: that it hands over
// is not to be said then.
func (l *linter) refuted(s *service) bool {
	return slices.ContainsFunc(l.report, func(f check.Finding) bool { return f.Level == check.Error && f.Service == s.name })
}

// judge applies the rules that are about one service.
func (l *linter) judge(s *service) {
	l.strategy(s)
	if !s.wantsHandOver() {
		return
	}
	l.unread(s)
	l.timeout(s)
	l.ports(s)
	l.addresses(s)
	l.containerName(s)
	l.devices(s)
	l.volumes(s)
	l.program(s)
	if !s.usesHandover {
		return
	}
	l.supervisorAPI(s)
	l.problems(s)
	l.grace(s)
	l.folder(s)
	l.network(s)
	l.plainFields(s)
	l.stateDir(s)
	l.user(s)
	l.stopSignal(s)
	l.health(s)
}

// add adds a finding about the file as a whole; one that is there already is
// not said twice.
func (l *linter) add(f check.Finding) {
	if f.File == "" {
		f.File = l.path
	}
	for i := len(l.report) - 1; i >= 0 && l.report[i].Service == f.Service; i-- {
		if l.report[i] == f && f.Service != "" {
			return
		}
	}
	l.report.Add(f)
}

// say adds a finding about a service, at a line of the compose file.
func (l *linter) say(s *service, level check.Level, name string, line int, found, why, do string) {
	l.sayAt(s, level, name, place{line: line}, found, why, do)
}

// sayAt is say at a place in any file.
func (l *linter) sayAt(s *service, level check.Level, name string, at place, found, why, do string) {
	if at.line == 0 && at.file == "" {
		at.line = s.line
	}
	l.add(check.Finding{Level: level, Check: name, Service: s.name, File: at.file, Line: at.line, Found: found, Why: why, Do: do})
}

// place is a line in a file; no file is the compose file.
type place struct {
	file string
	line int
}

const maxFileSize = 1 << 20

var errTooLarge = errors.New("larger than 1 MiB")

func (l *linter) tooLarge() {
	l.add(check.Finding{Level: check.Error, Check: checkFile, Found: "the file is larger than 1 MiB",
		Why: "it is not read: no compose file is that large", Do: "name the compose file"})
}

func readCompose(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return readLimited(f)
}

func readLimited(f io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(data) > maxFileSize {
		return nil, errTooLarge
	}
	return data, nil
}

// bare takes the path out of an error that is told with its path anyway.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
