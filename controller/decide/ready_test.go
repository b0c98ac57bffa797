package decide_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	. "github.com/handover-controller/handover/controller/decide"
)

var _ = DescribeTable("The condition Ready says why the workload is not ready",
	func(w WorkloadFacts, status ConditionStatus, reason Reason, message string) {
		s := serving()
		s.Workload = w
		Expect(Decide(s).Conditions[0]).To(And(
			HaveField("Type", Ready), HaveField("Status", status), HaveField("Reason", reason), HaveField("Message", message)))
	},
	Entry("it is", WorkloadFacts{Started: true, Ready: true}, True, Reason("ProbeSucceeded"), "the workload is ready"),
	Entry("what was found", WorkloadFacts{Started: true, NotReady: "GET http://127.0.0.1/helth: 404 Not Found"}, False, Reason("ProbeFailed"), "the workload is not ready: GET http://127.0.0.1/helth: 404 Not Found"),
	Entry("nothing was found yet", WorkloadFacts{Started: true}, False, Reason("ProbeFailed"), "the workload is not ready"),
)
