// Package skipped makes a suite that imports it print at its end what was skipped,
// and why; Ginkgo itself tells only with -ginkgo.v. As all that a package prints
// that passes, `go test` shows it with -v.
package skipped

import (
	"fmt"
	"sort"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

var _ = ginkgo.ReportAfterSuite("What was skipped, and why", func(r ginkgo.Report) {
	specs := map[string][]string{}
	for _, s := range r.SpecReports {
		why := s.Failure.Message // none: not chosen by -ginkgo.focus
		switch {
		case s.State == types.SpecStatePending:
			why = "pending"
		case s.State != types.SpecStateSkipped || why == "":
			continue
		}
		name := s.FullText()
		if name == "" {
			name = "the whole suite"
		}
		specs[why] = append(specs[why], name)
	}
	reasons := make([]string, 0, len(specs))
	for why := range specs {
		reasons = append(reasons, why)
	}
	sort.Strings(reasons)
	for _, why := range reasons {
		fmt.Printf("\nskipped: %s\n", why)
		for _, name := range specs[why] {
			fmt.Printf("    %s\n", name)
		}
	}
})
