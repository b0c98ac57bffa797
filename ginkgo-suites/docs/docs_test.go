package docs_test

import (
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The documents", func() {
	var all map[string]*page
	BeforeEach(func() { all = pages() })

	// each gives every page to a rule.
	each := func(rule func(*page) faults) faults {
		var f faults
		for _, path := range slices.Sorted(maps.Keys(all)) {
			f = append(f, rule(all[path])...)
		}
		return f
	}

	It("are found, and of a form that is understood here", func() {
		Expect(all).To(HaveKey("README.md"))
		Expect(len(all)).To(BeNumerically(">=", 8))
		Expect(each(func(p *page) faults { return p.faults })).To(BeEmpty())
	})

	It("have no block that is not compiled, loaded, parsed or run", func() {
		blocks := 0
		Expect(each(func(p *page) (f faults) {
			for _, b := range p.blocks {
				blocks++
				f = append(f, checkBlock(b)...)
			}
			return f
		})).To(BeEmpty())
		Expect(blocks).To(BeNumerically(">", 15))
	})

	It("link to files and headings that exist", func() {
		Expect(each(func(p *page) faults { return checkLinks(p, all) })).To(BeEmpty())
	})

	It("name keys, variables, metrics, commands and reasons that exist", func() {
		Expect(each(checkNames)).To(BeEmpty())
	})

	It("quote in the trouble-shooting what a user sees or writes", func() {
		Expect(each(checkSymptoms)).To(BeEmpty())
	})

	It("need every exception that is made for them", func() {
		used := map[string]bool{}
		for _, p := range all {
			for _, b := range p.blocks {
				used[b.key()] = true
			}
		}
		for key := range plain {
			Expect(used).To(HaveKey(key))
		}
		for key := range elsewhere {
			if !strings.HasSuffix(key, " prometheus") {
				Expect(used).To(HaveKey(key))
			}
		}
		for path, names := range wrong {
			var text strings.Builder
			for _, b := range all[path].blocks {
				text.WriteString(b.text)
			}
			for _, s := range all[path].spans {
				text.WriteString(s.text + "\n")
			}
			for _, name := range names {
				Expect(text.String()).To(ContainSubstring(name), path)
			}
		}
	})
})
