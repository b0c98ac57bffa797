package supervisor_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
)

const (
	idA = "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000"
	idB = "bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000"
	idC = "cccccccccccc0000000000000000000000000000000000000000000000000000"
)

// viewOf is what is made of these entries of "containers".
func viewOf(entries ...string) supervisor.View {
	GinkgoHelper()
	v, err := answering(200, `{"status":"success","containers":[`+strings.Join(entries, ",")+`]}`).View(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return v
}

var _ = Describe("A view", func() {
	It("can be of no containers", func() {
		Expect(viewOf().Containers).To(BeEmpty())
	})

	It("is understood without a status, and with new fields", func(ctx SpecContext) {
		v, err := answering(200, `{"containers":[{"containerId":"`+idA+`","health":{"ok":[1]}}],"release":null,"appState":7,"new":[[]]}`).View(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(v.Containers).To(Equal([]supervisor.Container{{ID: idA}}))
		Expect(v.Commit).To(BeEmpty())
		Expect(v.AppState).To(Equal("7"))
	})

	full := supervisor.Container{
		ID: idA, Service: "main", AppID: "1234", ServiceID: 1, ImageID: 501,
		Status: "Running", CreatedAt: time.Date(2026, 11, 22, 17, 55, 28, 280e6, time.UTC),
	}
	DescribeTable("takes ids as numbers and as text",
		func(entry string) { Expect(viewOf(entry).Containers).To(Equal([]supervisor.Container{full})) },
		Entry("numbers", `{"status":"Running","serviceName":"main","appId":1234,"imageId":501,"serviceId":1,"containerId":"`+idA+`","createdAt":"2026-11-22T17:55:28.280Z"}`),
		Entry("text", `{"status":"Running","serviceName":"main","appId":"1234","imageId":"501","serviceId":"1","containerId":"`+idA+`","createdAt":"2026-11-22T17:55:28.280Z"}`),
		Entry("odd numbers", `{"status":"Running","serviceName":"main","appId":1.234e3,"imageId":501.0,"serviceId":" 1 ","containerId":"`+strings.ToUpper(idA)+`","createdAt":"2026-11-22T17:55:28.280000000Z"}`),
	)

	DescribeTable("lists a container of which something is missing or not understood",
		func(entry string, want supervisor.Container) {
			Expect(viewOf(entry, `{"containerId":"`+idB+`"}`).Containers).To(Equal([]supervisor.Container{want, {ID: idB}}))
		},
		Entry("everything", `{}`, supervisor.Container{}),
		Entry("all null", `{"status":null,"serviceName":null,"appId":null,"imageId":null,"serviceId":null,"containerId":null,"createdAt":null}`, supervisor.Container{}),
		Entry("all of other types", `{"status":{},"serviceName":[],"appId":true,"imageId":{"a":1},"serviceId":[1],"containerId":false,"createdAt":{}}`, supervisor.Container{}),
		Entry("the id", `{"status":"Running","serviceName":"main"}`, supervisor.Container{Status: "Running", Service: "main"}),
		Entry("an id that is none", `{"containerId":"not hexadecimal at all"}`, supervisor.Container{}),
		Entry("an id that is too short", `{"containerId":"abc"}`, supervisor.Container{}),
		Entry("an id that is too long", `{"containerId":"`+idA+`0"}`, supervisor.Container{}),
		Entry("a time that is none", `{"containerId":"`+idA+`","createdAt":"yesterday"}`, supervisor.Container{ID: idA}),
		Entry("a time as a number", `{"containerId":"`+idA+`","createdAt":1795369000}`, supervisor.Container{ID: idA}),
		Entry("Docker's zero time", `{"containerId":"`+idA+`","createdAt":"0001-01-01T00:00:00Z"}`, supervisor.Container{ID: idA}),
		Entry("numbers too large", `{"imageId":1e400,"serviceId":99999999999999999999,"appId":99999999999999999999}`, supervisor.Container{AppID: "99999999999999999999"}),
		Entry("fractions", `{"imageId":1.5,"serviceId":"x"}`, supervisor.Container{}),
	)

	Describe("Find", func() {
		v := func() *supervisor.View {
			v := viewOf(`{}`, `{"containerId":"`+idA+`"}`, `{"containerId":"`+idB[:12]+`"}`)
			return &v
		}
		DescribeTable("finds",
			func(id, want string) {
				c, ok := v().Find(id)
				Expect(ok).To(BeTrue())
				Expect(c.ID).To(Equal(want))
			},
			Entry("by 12 digits", idA[:12], idA),
			Entry("by 20 digits", idA[:20], idA),
			Entry("by all digits", idA, idA),
			Entry("in capitals", strings.ToUpper(idA), idA),
			Entry("by all digits where the answer has 12", idB, idB[:12]),
		)
		DescribeTable("does not find",
			func(id string) {
				c, ok := v().Find(id)
				Expect(ok).To(BeFalse())
				Expect(c).To(BeZero())
			},
			Entry("nothing", ""),
			Entry("11 digits", idA[:11]),
			Entry("65 digits", idA+"0"),
			Entry("others", idC),
			Entry("others with the same beginning", idA[:63]+"1"),
			Entry("what is not hexadecimal", "main_501_1001"),
		)
	})

	Describe("Of", func() {
		entry := func(id, created, service string) string {
			return fmt.Sprintf(`{"containerId":%q,"createdAt":%q,"serviceName":%q,"appId":1234}`, id, created, service)
		}
		ids := func(containers []supervisor.Container) []string {
			var ids []string
			for _, c := range containers {
				ids = append(ids, c.ID)
			}
			return ids
		}

		It("gives the newest first, then the greater id, and those of unknown age last", func() {
			v := viewOf(
				entry(idC, "", "main"),
				entry(idA, "2026-11-22T17:55:28Z", "main"),
				entry(idB, "2026-11-22T17:55:28Z", "main"),
				entry(idC[:20], "2026-11-22T17:55:28.001Z", "main"),
			)
			Expect(ids(v.Of("1234", "main"))).To(Equal([]string{idC[:20], idB, idA, idC}))
		})

		It("leaves out other services and other apps", func() {
			v := viewOf(entry(idA, "", "main"), entry(idB, "", "Main"), `{"appId":99,"serviceName":"main"}`)
			Expect(ids(v.Of("1234", "main"))).To(Equal([]string{idA}))
			Expect(v.Of("1", "main")).To(BeEmpty())
		})

		It("does not leave out what may be of this service", func() {
			v := viewOf(`{"containerId":"`+idA+`"}`, `{"containerId":"`+idB+`","appId":1234}`, `{"containerId":"`+idC+`","serviceName":"main"}`)
			Expect(v.Of("1234", "main")).To(HaveLen(3))
			Expect(v.Of("1234", "other")).To(HaveLen(2))
		})

		It("gives copies", func() {
			v := viewOf(entry(idA, "", "main"))
			v.Of("1234", "main")[0].ID = "changed"
			Expect(v.Containers[0].ID).To(Equal(idA))
		})
	})
})

var _ = Describe("A target", func() {
	const body = `{
		"status": "a name like any other",
		"other": {"appId": 99, "commit": "cccc", "services": {"main": {"status": "Running", "releaseId": 1}}},
		"broken": {"appId": 98, "services": 7},
		"rigapp": {"appId": "1234", "commit": "bbbb", "services": {"main": {"status": "Awaiting handover", "releaseId": "1002", "new": {}}, "empty": {}, "null": null}}
	}`
	DescribeTable("is of the app and the service",
		func(ctx SpecContext, app, service string, want supervisor.Target) {
			Expect(answering(200, body).Target(ctx, app, service)).To(Equal(want))
		},
		Entry(nil, "1234", "main", supervisor.Target{ReleaseID: 1002, Commit: "bbbb", Status: "Awaiting handover"}),
		Entry(nil, "99", "main", supervisor.Target{ReleaseID: 1, Commit: "cccc", Status: "Running"}),
		Entry("with fields missing", "1234", "empty", supervisor.Target{Commit: "bbbb"}),
		Entry("null", "1234", "null", supervisor.Target{Commit: "bbbb"}),
		Entry("without the service", "1234", "other", supervisor.Target{}),
		Entry("without the app", "1", "main", supervisor.Target{}),
		Entry("without an app id", "", "main", supervisor.Target{}),
	)

	It("can be of no apps", func(ctx SpecContext) {
		Expect(answering(200, `{}`).Target(ctx, "1234", "main")).To(BeZero())
	})
})

var _ = Describe("Releases", func() {
	It("are understood as v9 gives them, with all apps", func(ctx SpecContext) {
		r, err := answering(200, `{"local":{"99":{"services":7},"1234":{"services":{"501":{"status":"Running","releaseId":"1001"},"502":{},"main":{}}}},"dependent":{},"commit":false}`).Releases(ctx, "1234")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Commit).To(BeEmpty())
		Expect(r.ByImage).To(Equal(map[int64]supervisor.ImageRelease{501: {ReleaseID: 1001, Status: "Running"}, 502: {}}))
		Expect(r.RequestedAt).NotTo(BeZero())
	})

	It("can be of no images", func(ctx SpecContext) {
		r, err := answering(200, `{"local":{"1234":{}}}`).Releases(ctx, "1234")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.ByImage).To(And(Not(BeNil()), BeEmpty()))
	})
})

var _ = DescribeTable("A status",
	func(s supervisor.Status, running, mayServe bool) {
		for _, spelling := range []supervisor.Status{s, supervisor.Status(strings.ToUpper(string(s))), supervisor.Status(strings.ToLower(string(s))), " " + s + " ", supervisor.Status(strings.ReplaceAll(string(s), " ", "-"))} {
			Expect(spelling.Running()).To(Equal(running), "%q", spelling)
			Expect(spelling.MayServe()).To(Equal(mayServe), "%q", spelling)
		}
	},
	func(s supervisor.Status, _, _ bool) string { return fmt.Sprintf("%q", s) },
	Entry(nil, supervisor.StatusRunning, true, true),
	Entry(nil, supervisor.StatusAwaitingHandover, true, true),
	Entry(nil, supervisor.StatusHandingOver, true, true),
	Entry(nil, supervisor.Status("HandingOver"), true, true),
	Entry(nil, supervisor.StatusStarting, false, true),
	Entry(nil, supervisor.Status(""), false, true),
	Entry(nil, supervisor.Status("Paused"), false, true),
	Entry(nil, supervisor.Status("Running away"), false, true),
	Entry(nil, supervisor.StatusInstalling, false, false),
	Entry(nil, supervisor.StatusInstalled, false, false),
	Entry(nil, supervisor.StatusStopping, false, false),
	Entry(nil, supervisor.StatusExited, false, false),
	Entry(nil, supervisor.StatusDead, false, false),
	Entry(nil, supervisor.StatusRemoving, false, false),
	Entry(nil, supervisor.StatusDownloading, false, false),
	Entry(nil, supervisor.StatusDownloaded, false, false),
	Entry(nil, supervisor.StatusDeleting, false, false),
)
