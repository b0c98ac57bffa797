package compose_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/cmd/handover/check/compose"
)

var _ = DescribeTable("Words of a shell's line", func(line string, want ...string) {
	Expect(compose.Words(line)).To(HaveExactElements(want))
},
	Entry(nil, ""),
	Entry(nil, "  a\tb\n", "a", "b"),
	Entry(nil, `a 'b "c' "d 'e\"" f\ g`, "a", `b "c`, `d 'e"`, "f g"),
	Entry(nil, `""`, ""),
	Entry(nil, "a&&b || c;d|e &", "a", "&&", "b", "||", "c", ";", "d", "|", "e", "&"),
	Entry(nil, "a 'b && c", "a", "b && c"),
	Entry(nil, `a\`, `a\`),
)

var _ = DescribeTable("Durations", func(text string, want time.Duration, ok bool) {
	d, good := compose.ParseDuration(text)
	Expect(good).To(Equal(ok))
	if ok {
		Expect(d).To(Equal(want))
	}
},
	Entry(nil, "60s", time.Minute, true),
	Entry(nil, "1m30s", 90*time.Second, true),
	Entry(nil, "1h2m3s4ms5us6ns", time.Hour+2*time.Minute+3*time.Second+4*time.Millisecond+5*time.Microsecond+6, true),
	Entry(nil, "1.5h", 90*time.Minute, true),
	Entry(nil, "0.5s", 500*time.Millisecond, true),
	Entry(nil, "1w1d", 8*24*time.Hour, true),
	Entry(nil, "0s", time.Duration(0), true),
	Entry(nil, "", time.Duration(0), false),
	Entry(nil, "60", time.Duration(0), false),
	Entry(nil, "0", time.Duration(0), false),
	Entry(nil, "-1s", time.Duration(0), false),
	Entry(nil, "1 s", time.Duration(0), false),
	Entry(nil, "1.2.3s", time.Duration(0), false),
	Entry(nil, ".s", time.Duration(0), false),
	Entry(nil, "1x", time.Duration(0), false),
	Entry(nil, "99999999999999999h", time.Duration(0), false),
	Entry(nil, "999999999999999999999999s", time.Duration(0), false),
	Entry(nil, "876000h876000h", time.Duration(0), false),
)

var _ = DescribeTable("Durations in messages", func(d time.Duration, want string) {
	Expect(compose.ShortDuration(d)).To(Equal(want))
},
	Entry(nil, time.Duration(0), "0s"),
	Entry(nil, 10*time.Second, "10s"),
	Entry(nil, time.Minute, "1m"),
	Entry(nil, 90*time.Second, "1m30s"),
	Entry(nil, 10*time.Minute, "10m"),
	Entry(nil, 20*time.Hour, "20h"),
	Entry(nil, time.Hour+time.Second, "1h0m1s"),
)
