package main

import (
	"bufio"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The pages of the program", func() {
	DescribeTable("are those that cannot be written",
		func(line string, from, size uintptr, ok bool) {
			f, s, o := programPages(line, "/usr/bin/handover")
			Expect([]any{f, s, o}).To(Equal([]any{from, size, ok}))
		},
		Entry("code", "00010000-003ee000 r-xp 00000000 00:1f 7 /usr/bin/handover", uintptr(0x10000), uintptr(0x3de000), true),
		Entry("constants", "003f0000-00890000 r--p 003e0000 00:1f 7   /usr/bin/handover", uintptr(0x3f0000), uintptr(0x4a0000), true),
		Entry("variables", "00890000-008f1000 rw-p 00880000 00:1f 7 /usr/bin/handover", uintptr(0), uintptr(0), false),
		Entry("another program's", "00010000-003ee000 r-xp 00000000 00:1f 7 /bin/usr/bin/handover", uintptr(0), uintptr(0), false),
		Entry("nobody's", "7f0000000000-7f0000001000 r--p 00000000 00:00 0", uintptr(0), uintptr(0), false),
		Entry("nonsense", "x-y r-xp 0 0 0 /usr/bin/handover", uintptr(0), uintptr(0), false),
		Entry("from the end", "3-1 r-xp 0 0 0 /usr/bin/handover", uintptr(0), uintptr(0), false),
	)

	It("are found in this one", func() {
		program, err := os.Readlink("/proc/self/exe")
		Expect(err).NotTo(HaveOccurred())
		maps, err := os.Open("/proc/self/maps")
		Expect(err).NotTo(HaveOccurred())
		defer maps.Close()
		found := uintptr(0)
		for lines := bufio.NewScanner(maps); lines.Scan(); {
			if _, size, ok := programPages(lines.Text(), program); ok {
				found += size
			}
		}
		Expect(found > 1<<20).To(BeTrue())
		giveBack()
	})
})
