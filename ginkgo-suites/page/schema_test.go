package page_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/controller"
)

// schema is the part of JSON Schema, draft 2020-12, that status.schema.json uses.
type schema struct {
	Schema      string `json:"$schema"`
	Title       string `json:"title"`
	Description string `json:"description"`

	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	Type       any                `json:"type"` // a name, or a list of names
	Enum       []string           `json:"enum"`
	Format     string             `json:"format"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	Properties map[string]*schema `json:"properties"`
	Additional *bool              `json:"additionalProperties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	MinItems   *int               `json:"minItems"`
	MaxItems   *int               `json:"maxItems"`
}

// statusSchema reads the schema. A keyword that it does not know is an error.
func statusSchema() *schema {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "controller", "status.schema.json"))
	Expect(err).NotTo(HaveOccurred())
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	s := &schema{}
	Expect(d.Decode(s)).To(Succeed())
	return s
}

// resolve follows a reference.
func (s *schema) resolve(root *schema) *schema {
	for s.Ref != "" {
		next := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if next == nil {
			return &schema{Type: "no such definition: " + s.Ref}
		}
		s = next
	}
	return s
}

func (s *schema) types() []string {
	switch t := s.Type.(type) {
	case string:
		return []string{t}
	case []any:
		var all []string
		for _, one := range t {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return nil
}

// check returns what is wrong with a value.
func (s *schema) check(root *schema, at string, value any) []string {
	s = s.resolve(root)
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	kind := map[reflect.Kind]string{
		reflect.Invalid: "null", reflect.Bool: "boolean", reflect.String: "string", reflect.Float64: "number",
		reflect.Slice: "array", reflect.Map: "object",
	}[reflect.ValueOf(value).Kind()]
	if n, ok := value.(float64); ok && n == math.Trunc(n) {
		kind = "integer"
	}
	if !slices.Contains(s.types(), kind) {
		say("is of type %s, not %v", kind, s.Type)
		return wrong
	}
	switch v := value.(type) {
	case string:
		if s.Enum != nil && !slices.Contains(s.Enum, v) {
			say("%q is none of %q", v, s.Enum)
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				say("%v", err)
			}
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			say("%v is out of range", v)
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
			say("has %d items", len(v))
		}
		for i, one := range v {
			wrong = append(wrong, s.Items.check(root, fmt.Sprintf("%s[%d]", at, i), one)...)
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				say("%s is missing", name)
			}
		}
		for name, one := range v {
			if p := s.Properties[name]; p != nil {
				wrong = append(wrong, p.check(root, at+"."+name, one)...)
			} else if s.Additional != nil && !*s.Additional {
				say("%s is not in the schema", name)
			}
		}
	}
	return wrong
}

// compare returns in what a Go type and a schema differ.
func (s *schema) compare(root *schema, at string, t reflect.Type) []string {
	nullable := t.Kind() == reflect.Pointer
	if nullable {
		t = t.Elem()
	}
	s = s.resolve(root)
	want := ""
	switch {
	case t == reflect.TypeFor[time.Time]():
		want = "string"
		if s.Format != "date-time" {
			return []string{at + ": has the format date-time"}
		}
	case t.Kind() == reflect.String:
		want = "string"
	case t.Kind() == reflect.Bool:
		want = "boolean"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		want = "integer"
	case t.Kind() == reflect.Slice:
		want = "array"
	case t.Kind() == reflect.Struct:
		want = "object"
	}
	if types := s.types(); len(types) == 0 || types[0] != want {
		return []string{fmt.Sprintf("%s: %v is %s", at, s.Type, want)}
	}
	var wrong []string
	switch want {
	case "array":
		wrong = s.Items.compare(root, at+"[]", t.Elem())
	case "object":
		if s.Additional == nil || *s.Additional {
			wrong = append(wrong, at+": additionalProperties must be false")
		}
		left := map[string]bool{}
		for name := range s.Properties {
			left[name] = true
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[name]
			if p == nil {
				wrong = append(wrong, fmt.Sprintf("%s: the field %s (%q) is not in the schema", at, f.Name, name))
				continue
			}
			delete(left, name)
			if len(p.Description) < 10 || !strings.HasSuffix(p.Description, ".") {
				wrong = append(wrong, at+"."+name+": has no description")
			}
			if missing := strings.Contains(options, "omitempty"); missing == slices.Contains(s.Required, name) {
				wrong = append(wrong, at+"."+name+": omitempty and required do not fit")
			} else if null := slices.Contains(p.resolve(root).types(), "null"); f.Type.Kind() == reflect.Pointer && !missing != null {
				wrong = append(wrong, at+"."+name+": may be null, or not")
			}
			wrong = append(wrong, p.compare(root, at+"."+name, f.Type)...)
		}
		for name := range left {
			wrong = append(wrong, at+"."+name+": is no field")
		}
	}
	return wrong
}

var _ = Describe("The schema of the status", func() {
	It("says all that the status has, and nothing else", func() {
		s := statusSchema()
		Expect(s.Schema).To(Equal("https://json-schema.org/draft/2020-12/schema"))
		Expect(s.compare(s, "status", reflect.TypeFor[controller.Status]())).To(BeEmpty())
		for name, one := range s.Defs {
			used := false
			text, err := os.ReadFile(filepath.Join("..", "..", "controller", "status.schema.json"))
			Expect(err).NotTo(HaveOccurred())
			used = strings.Contains(string(text), `"#/$defs/`+name+`"`)
			Expect(used).To(BeTrue(), name)
			for _, required := range one.Required {
				Expect(one.Properties).To(HaveKey(required))
			}
		}
	})

	It("notices what does not fit", func() {
		s := statusSchema()
		var st map[string]any
		good, err := json.Marshal(controller.Status{Phase: "serving", Supervisor: controller.SupervisorStatus{Mode: "off"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Unmarshal(good, &st)).To(Succeed())
		Expect(s.check(s, "status", st)).To(ContainElement(ContainSubstring("status.events: is of type null")))
		st["phase"], st["more"] = "asleep", 1.0
		delete(st, "time")
		Expect(s.check(s, "status", st)).To(ContainElements(ContainSubstring("asleep"), ContainSubstring("more is not"), ContainSubstring("time is missing")))
	})

	DescribeTable("fits every status of a hand-over", func(version string) {
		d := openDevice(version, true)
		d.release(1, "off", 0)
		older := d.follow(1)
		phase := func(all []string) string {
			var st controller.Status
			if len(all) > 0 {
				_ = json.Unmarshal([]byte(all[len(all)-1]), &st)
			}
			return st.Phase
		}
		Eventually(func() string { return phase(older()) }, patience).Should(Equal("serving"))
		workDone := d.work(1)
		d.release(2, "off", onCommand)
		younger := d.follow(2)
		Eventually(func() string { return phase(younger()) }, patience).Should(Equal("starting"))
		d.becomeReady(2)
		Eventually(func() string { return phase(older()) }, patience).Should(Equal("draining"))
		workDone()
		Eventually(func() string { return phase(older()) }, patience).Should(Equal("gone"))
		Eventually(func() string { return phase(younger()) }, patience).Should(Equal("serving"))
		d.sim.Stop()
		Eventually(func() string { return phase(younger()) }, patience).Should(Equal("gone"))
		s := statusSchema()
		seen := map[string]bool{}
		for _, text := range append(older(), younger()...) {
			var value any
			Expect(json.Unmarshal([]byte(text), &value)).To(Succeed())
			Expect(s.check(s, "status", value)).To(BeEmpty(), text)
			seen[phase([]string{text})] = true
		}
		Expect(seen).To(And(HaveKey("starting"), HaveKey("serving"), HaveKey("draining"), HaveKey("gone")))
	},
		Entry("with a Supervisor that waits", "14.13.9"),
		Entry("with one that does not", "19.0.5"),
	)
})
