package main

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/config"
)

// What the configuration allows must not be refused after things were started.
var _ = DescribeTable("The Supervisor's client takes what the configuration allows",
	func(variable string, values ...string) {
		allowed := 0
		for _, value := range values {
			environ := []string{"BALENA_SUPERVISOR_ADDRESS=http://127.0.0.1:1", "BALENA_SUPERVISOR_API_KEY=key"}
			loaded, err := config.Load(config.Options{Environ: append([]string{variable + "=" + value}, environ...)})
			if err != nil {
				continue
			}
			allowed++
			_, err = newSupervisor(&loaded.Config)
			Expect(err).NotTo(HaveOccurred(), value)
		}
		Expect(allowed).To(And(BeNumerically(">", 0), BeNumerically("<", len(values))))
	},
	Entry("as its address", "BALENA_SUPERVISOR_ADDRESS",
		"http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1//", "http://127.0.0.1:1/foo", "http://127.0.0.1:1/foo/",
		"http://127.0.0.1:1?", "http://127.0.0.1:1#", "http://[::1]:1", "http://[::1%25lo]:1", "http://::1", "HTTP://Supervisor", "https://a.b:48484",
		" http://127.0.0.1:1", "http://127.0.0.1:1 ", "http://127.0.0.1:", "http://a%20b", "http://a/%2f", "http://a@b", "x"),
	Entry("as its key", "BALENA_SUPERVISOR_API_KEY", "key", "a b", "sé", " key ", "key\t", "\x7f", "~!\"#$%&'()*+,-./:;<=>?@[]^_`{|}", "a\u00a0b", "\u200bkey"),
)
