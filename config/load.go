package config

import (
	"io"
	"slices"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Options says what to load.
type Options struct {
	// Path is the file to read. Empty means: the one that HANDOVER_CONFIG
	// names, else handover.yaml in Dir, else /etc/handover/handover.yaml, else
	// none. A file that is named must exist.
	Path string
	// Environ is the environment, as os.Environ returns it. Nil means that
	// there is none: Load does not look at the process's own.
	Environ []string
	// Dir is where handover.yaml is looked for; empty is the working directory.
	Dir string
	// Open opens a file by its path. An error for which errors.Is(err,
	// fs.ErrNotExist) means that there is none. Nil opens regular files only,
	// and looks who may write them: for root, a file that was not named (by Path
	// or HANDOVER_CONFIG) and that another user may write, or replace by way of a
	// folder, is a problem; in all other cases that is a warning.
	Open func(path string) (io.ReadCloser, error)
}

// Loaded is a configuration without problems.
type Loaded struct {
	Config Config
	// File is the path of the file that was read, empty if there was none.
	File string
	// Warnings are what is likely to be a mistake and is none for certain, such
	// as unknown variables that begin with HANDOVER_.
	Warnings []string
	// Gaps are settings that are allowed, and with which nobody serves for some
	// time at each update. Their Why is set.
	Gaps []Problem

	values []Value
}

// Value is one effective value.
type Value struct {
	Key string
	// Text is the value as it would stand in the file; secrets are masked.
	Text   string
	Origin Origin
	// Computed says how a default came about that is not a fixed one.
	Computed string
}

// Values returns all values in the order of the table of keys.
func (l *Loaded) Values() []Value { return slices.Clone(l.values) }

// Origin says where a key's value came from. It is the default for keys that
// do not exist.
func (l *Loaded) Origin(key string) Origin {
	for _, v := range l.values {
		if v.Key == key {
			return v.Origin
		}
	}
	return Origin{}
}

// Load reads the file and the environment. The environment wins over the
// file, and a key's own variable over those of balena and handover-lib. The
// error is an [*Error] with everything that is wrong, and nothing is returned
// beside it.
func Load(o Options) (*Loaded, error) {
	l := newLoader(o)
	file := l.findFile(o)
	l.fromFile(file)
	l.fromEnvironment()
	l.unknownVariables()
	loaded := l.merge()
	l.relations(&loaded.Config)
	if len(l.problems.list) > 0 {
		return nil, &Error{Problems: l.problems.sorted(), Warnings: l.warnings}
	}
	loaded.File, loaded.Warnings, loaded.Gaps = file.name, l.warnings, l.gaps(&loaded.Config)
	return loaded, nil
}

// loader holds what is known so far.
type loader struct {
	open        func(string) (io.ReadCloser, error)
	environment map[string]string
	keys        []key
	problems    problems
	warnings    []string

	inFile, inEnvironment map[string]any // values by key
	origins               map[string]Origin
	bad                   map[string]bool // keys with a value that is a problem
}

func newLoader(o Options) *loader {
	l := &loader{
		open: o.Open, environment: parseEnviron(o.Environ), keys: keys(),
		inFile: map[string]any{}, inEnvironment: map[string]any{},
		origins: map[string]Origin{}, bad: map[string]bool{},
	}
	return l
}

// take reads one value of a key. What comes later wins.
func (l *loader) take(k key, r raw, from Origin) {
	v, f := k.kind.read(r)
	if f != nil {
		l.bad[k.name] = true
		l.problems.add(Problem{
			File: from.File, Line: from.Line, Source: from.Variable, Key: k.name, Value: k.display(r),
			Message: f.message, Allowed: k.kind.allowed, Hint: f.hint,
		})
		return
	}
	l.origins[k.name] = from
	if from.Variable != "" {
		l.inEnvironment[k.name] = v
	} else {
		l.inFile[k.name] = v
	}
}

// merge lays the environment over the file over the defaults. The values are
// typed by now, so that nothing is left for viper to guess.
func (l *loader) merge() *Loaded {
	v := viper.New()
	for _, k := range l.keys {
		if d := k.defaultValue(); d != nil {
			v.SetDefault(k.name, d)
		}
		if value, ok := l.inEnvironment[k.name]; ok {
			v.Set(k.name, value)
		}
	}
	loaded := &Loaded{}
	if err := v.MergeConfigMap(nested(l.inFile)); err != nil {
		l.problems.add(Problem{Message: "cannot be merged", Err: err})
	}
	v.SetDefault("announce.expire_after", expireAfter(v.GetDuration("announce.interval")))
	err := v.UnmarshalExact(&loaded.Config, func(c *mapstructure.DecoderConfig) {
		c.WeaklyTypedInput = false
		c.DecodeHook = nil
	})
	if err != nil { // the table and the structure disagree; a test holds them together
		l.problems.add(Problem{Message: "the table of keys does not fit the structure", Err: err})
	}
	if r := &loaded.Config.Readiness; r.After == automatic {
		r.After, r.AfterAuto = 0, true
	}
	for _, k := range l.keys {
		value := Value{Key: k.name, Text: k.kind.show(v.Get(k.name)), Origin: l.origins[k.name]}
		if value.Origin.IsDefault() && k.def == "" {
			value.Computed = k.computed
		}
		loaded.values = append(loaded.values, value)
	}
	return loaded
}

// nested is the tree that viper wants: sections of keys.
func nested(values map[string]any) map[string]any {
	tree := map[string]any{}
	for name, v := range values {
		k := key{name: name}
		section, ok := tree[k.section()].(map[string]any)
		if !ok {
			section = map[string]any{}
			tree[k.section()] = section
		}
		section[k.leaf()] = v
	}
	return tree
}

// Bounds of announce.expire_after: what an announcement can carry.
const (
	minExpireAfter = 3 * time.Second
	maxExpireAfter = time.Hour
	minIntervals   = 3
)

// expireAfter is the default of announce.expire_after.
func expireAfter(interval time.Duration) time.Duration {
	return min(max(interval*7/2, minExpireAfter), maxExpireAfter)
}

// key returns the row of a key that is in the table.
func (l *loader) key(name string) key {
	return l.keys[slices.IndexFunc(l.keys, func(k key) bool { return k.name == name })]
}

// sections are the top keys, in order.
func (l *loader) sections() []string {
	var names []string
	for _, k := range l.keys {
		if !slices.Contains(names, k.section()) {
			names = append(names, k.section())
		}
	}
	return names
}

// leaves are the keys of a section, in order.
func (l *loader) leaves(section string) []string {
	var names []string
	for _, k := range l.keys {
		if k.section() == section {
			names = append(names, k.leaf())
		}
	}
	return names
}
