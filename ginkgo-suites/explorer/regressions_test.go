package explorer_test

import (
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// regressions are plans that found something once. They are written out, so
// that they stay what they are when the generator changes.
var regressions = []struct{ found, plan string }{
	{"told, without the Supervisor: another service's handover-lib was trusted although its own successor was heard, not ready yet", `
{"seed": 2741, "version": "19.0.5", "end": "13.2s", "quiet": "12s",
 "releases": [{"ready":"1.2s","noFolder":true}, {"ready":"1.2s","noFolder":true}],
 "actions": [
  {"at":"9.063015ms","do":"deploy"},
  {"at":"3.338148759s","on":"1 starting","do":"stranger","by":"-1h0m0s"},
  {"at":"6.212398821s","do":"rotate"},
  {"at":"8.213157368s","do":"exit","who":1}]}`},
	{"exclusive without a lock: the prepared instance went by an old list for ever, in which the container of the other one stood", `
{"seed": 1356, "version": "19.0.5", "end": "13.847293438s", "quiet": "12s",
 "releases": [{"ready":"1s","noFolder":true,"anonymous":true,"exclusive":true}, {"ready":"100ms","noFolder":true,"exclusive":true}],
 "actions": [
  {"at":"8.74289ms","do":"deploy"},
  {"at":"4.63675968s","do":"deploy","who":1}]}`},
	{"after a drain of 30 s the younger instance was taken for silent, because nobody had asked it, and the workload was started again", `
{"seed": 152, "version": "19.0.5-wait-repaired", "end": "15.7s", "quiet": "12s",
 "releases": [{"ready":"1.4s","hangs":true,"noFolder":true}, {"ready":"900ms","noFolder":true}],
 "actions": [
  {"at":"6.127787ms","do":"deploy"},
  {"at":"2.488746283s","do":"deploy","env":1}]}`},
	{"exclusive with the lock: another service's handover-lib was taken for one that runs the workload without the right to it", `
{"seed": 20937, "version": "19.0.5", "end": "12s", "quiet": "12s",
 "releases": [{"ready":"1s","exclusive":true}, {"ready":"100ms","anonymous":true,"exclusive":true}, {"ready":"1s","exclusive":true}],
 "actions": [
  {"at":"1.5ms","do":"deploy"},
  {"at":"2s","on":"0 told","do":"stranger","by":"1h0m0s"},
  {"at":"5s","do":"deploy","who":1}]}`},
	{"another service's handover-lib was matched to the container of a successor that does not know its own id and is not ready: nobody served", `
{"seed": 2, "version": "14.13.9", "end": "30s", "quiet": "12s",
 "releases": [{"ready":"1s","noFolder":true}, {"ready":"-1ns","noFolder":true,"anonymous":true}, {"ready":"1s","noFolder":true}],
 "actions": [
  {"at":"9ms","do":"deploy"},
  {"at":"4s","do":"deploy","who":1},
  {"at":"6s","do":"stranger","by":"10s"}]}`},
	{"released for another service's handover-lib, which a clock set back had matched to an older container, with an answer that was never asked for again: nobody served", `
{"seed": 9193951, "version": "12", "end": "14.952699239s", "quiet": "12s",
 "releases": [
  {"ready":"500ms","timeout":"7.170417389s","noFolder":true},
  {"ready":"0s","legacy":true,"timeout":"7.170417389s","noFolder":true},
  {"ready":"2.2s","timeout":"7.170417389s","noFolder":true}],
 "actions": [
  {"at":"3.130567ms","do":"deploy"},
  {"at":"5.19395459s","do":"deploy","who":1},
  {"at":"7.463898068s","do":"clock","who":1,"for":"700ms","by":"-1h0m0s"},
  {"at":"8.461190553s","do":"stranger","who":1,"for":"700ms","by":"1h0m0s"}]}`},
	{"told, alone, without its own container id: another service's handover-lib was held for, although no container may be its", `
{"seed": 9168980, "version": "17.6", "end": "12.36169181s", "finale": "stop", "quiet": "12s",
 "releases": [
  {"ready":"553.787505ms","timeout":"14.141525071s","exclusive":true},
  {"ready":"200ms","timeout":"14.141525071s","anonymous":true,"exclusive":true},
  {"ready":"500ms","timeout":"14.141525071s","noFolder":true,"exclusive":true}],
 "actions": [
  {"at":"1.501217ms","do":"deploy"},
  {"at":"194.40689ms","on":"0 serving","after":"19.019357ms","do":"stranger","who":1,"for":"3.7s","by":"10s"},
  {"at":"1.261013713s","do":"reboot","for":"1.9s"},
  {"at":"3.097342892s","do":"deploy","who":1}]}`},
	{"the same at the stop that comes before the new container", `
{"seed": 9189906, "version": "14.13.9", "end": "22.189749756s", "quiet": "12s",
 "releases": [
  {"ready":"1.7s","timeout":"14.487823301s","noFolder":true,"anonymous":true},
  {"ready":"3.9s","timeout":"14.487823301s","killFirst":true,"noFolder":true},
  {"ready":"1s","timeout":"14.487823301s","noFolder":true}],
 "actions": [
  {"at":"4.551293ms","do":"deploy"},
  {"at":"5.720566839s","on":"0 told","do":"stranger","for":"600ms","by":"10s"},
  {"at":"7.681245089s","do":"deploy","who":1}]}`},
	{"in standby, the first of three heard that the second drains before it heard that the third serves: it serves for a moment", `
{"seed": 9536255, "version": "12", "end": "31.056681745s", "finale": "renew", "quiet": "12.59196766s",
 "releases": [
  {"ready":"1.696683048s","drain":"697.664782ms","timeout":"10.911333017s","drainDelay":"663.098866ms"},
  {"ready":"0s","drain":"146.797441ms","timeout":"10.911333017s","noFolder":true,"settle":"2.936013364s","standby":"12.658717749s"},
  {"ready":"2.284315ms","crash":"5.400007286s","drain":"46.512957ms","timeout":"10.911333017s","drainDelay":"897.623553ms","poll":"3s"},
  {"ready":"2.883117085s","drain":"332.63117ms","timeout":"10.911333017s","noFolder":true}],
 "actions": [
  {"at":"4.632245ms","do":"deploy"},
  {"at":"7.573675832s","do":"deploy","who":1},
  {"at":"16.147752164s","do":"deploy"},
  {"at":"16.846733123s","do":"deploy","env":3}]}`},
	{"in standby, the first of three took the service back while the second drained for the third, which was killed; its hold ended first", `
{"seed": 30176363, "version": "14.13.9", "end": "23.973219741s", "quiet": "13.952849703s",
 "releases": [
  {"ready":"1.314454341s","drain":"188.208306ms","timeout":"10.092087819s","noLegacy":true,"noFolder":true,"settle":"1.881515016s","drainDelay":"1.322367415s","standby":"17.942730617s"},
  {"ready":"6.754242331s","drain":"3.839204801s","timeout":"10.092087819s","noLegacy":true,"noFolder":true,"settle":"1.881515016s","drainDelay":"1.322367415s","standby":"17.942730617s"},
  {"ready":"1.477082982s","timeout":"10.092087819s","noLegacy":true,"noFolder":true,"settle":"1.881515016s","drainDelay":"1.322367415s","standby":"17.942730617s"}],
 "actions": [
  {"at":"1.121746ms","do":"deploy"},
  {"at":"3.165882108s","on":"0 serving","after":"18.704208ms","do":"kill","for":"235.262346ms"},
  {"at":"4.303429626s","do":"deploy","env":1},
  {"at":"13.075000716s","do":"deploy","env":2},
  {"at":"19.618753912s","do":"kill","who":2,"for":"2.03698559s"}]}`},
	{"exclusive without a lock and without the Supervisor: the one that stepped aside for a handover-lib that was restarted waits for ever, as documented", `
{"seed": 20763635, "version": "19.0.5-wait-repaired", "end": "13.332426695s", "quiet": "13.639309063s",
 "releases": [
  {"ready":"1.340457664s","slow":"563.01334ms","timeout":"9.74445035s","off":true,"noFolder":true,"grace":"20s","drainDelay":"1.077416789s","drainLimit":"5s","exclusive":true},
  {"ready":"0s","legacy":true,"timeout":"9.74445035s","off":true,"noFolder":true,"grace":"20s","drainDelay":"1.077416789s","drainLimit":"5s","exclusive":true},
  {"ready":"1.178626322s","drain":"59.877237ms","timeout":"9.74445035s","off":true,"noFolder":true,"grace":"20s","drainDelay":"1.077416789s","drainLimit":"5s","exclusive":true}],
 "actions": [
  {"at":"509.367µs","do":"deploy"},
  {"at":"2.062114493s","on":"0 draining","after":"1.386125557s","do":"term","who":1,"for":"485.148249ms"},
  {"at":"2.809149066s","on":"1 serving","after":"2.621405999s","do":"readonly","for":"886.778843ms"},
  {"at":"4.851310757s","on":"0 holding","after":"15.497732ms","do":"term","who":1,"for":"212.659602ms"},
  {"at":"5.054221409s","do":"deploy","who":1},
  {"at":"6.061664815s","do":"deploy"},
  {"at":"6.611572329s","do":"deploy","env":3}]}`},
	{"told: a list from before the new container was started ended an instance that heard its successor: a list beats no live peer", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s",
 "releases": [{"ready":"500ms","noFolder":true,"grace":"60s"}, {"ready":"10s","noFolder":true,"grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"6s","do":"deploy","who":1},
  {"at":"6.2s","do":"stale","for":"5s"}]}`},
	{"told, without its own container id: an empty list was taken for \"nobody is there\" although the successor was heard", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s",
 "releases": [{"ready":"500ms","noFolder":true,"anonymous":true,"grace":"60s"}, {"ready":"10s","noFolder":true,"grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"6s","do":"deploy","who":1},
  {"at":"8s","do":"empty","for":"1500ms"}]}`},
	{"told: one request that hung kept the list away for the whole search, and the Supervisor answered all the time", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s",
 "releases": [{"ready":"500ms","noFolder":true,"grace":"60s"}, {"ready":"10s","noFolder":true,"grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"6s","do":"deploy","who":1},
  {"at":"6.5s","do":"isolate","who":1,"for":"3.5s"},
  {"at":"6.8s","do":"stall","for":"300ms"}]}`},
	{"told, then stopped for 3.5 s, with an answer taken in before", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s", "created": "", "strict": false,
 "releases": [{"ready":"500ms","noFolder":true,"grace":"60s"}, {"ready":"10s","noFolder":true,"grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"5s","on":"0 told","after":"30ms","do":"pause","for":"3500ms"},
  {"at":"6s","do":"deploy","who":1},
  {"at":"6.05s","do":"isolate","who":1,"for":"8s"}]}`},
	{"told, then stopped for 3.5 s before the answer was read: the time counted as silence of all others", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s", "created": "", "strict": false,
 "releases": [{"ready":"500ms","noFolder":true,"grace":"60s"}, {"ready":"10s","noFolder":true,"grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"5s","on":"0 told","after":"5ms","do":"pause","for":"3500ms"},
  {"at":"6s","do":"deploy","who":1},
  {"at":"6.05s","do":"isolate","who":1,"for":"8s"}]}`},
	{"stopped for 6 s while it held: the time counted as silence of the Supervisor, and a successor was trusted that had died meanwhile", `
{"seed": 3, "version": "19.0.5", "end": "60s", "finale": "", "quiet": "12s", "created": "", "strict": false,
 "releases": [{"ready":"500ms","settle":"5s","grace":"20s"}, {"ready":"4s","settle":"5s","grace":"20s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"5s","on":"1 serving","after":"500ms","do":"pause","who":0,"for":"6s"},
  {"at":"5s","on":"1 serving","after":"5900ms","do":"kill","who":1},
  {"at":"6s","do":"deploy","who":1}]}`},
	{"the Supervisor was restarted in the middle of a hand-over and sent SIGTERM again, which ended the hold at once", `
{"seed": 1, "version": "19.0.5", "end": "40s", "finale": "", "quiet": "12s", "created": "", "strict": true,
 "releases": [{"ready":"500ms","grace":"60s"}, {"ready":"15s","grace":"60s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"5s","on":"0 told","after":"2s","do":"crash","for":"3s"},
  {"at":"6s","do":"deploy","who":1}]}`},
	{"answers that take 2 s were neither fresh nor silence: the whole hold passed beside a successor that served", `
{"seed": 1, "version": "19.0.5", "end": "100s", "finale": "", "quiet": "12s", "created": "", "strict": false,
 "releases": [{"ready":"500ms","grace":"60s"}, {"ready":"500ms","grace":"60s"},{"ready":"500ms","grace":"60s"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"4s","do":"slow","by":"2s","for":"90s"},
  {"at":"6s","do":"deploy","who":1}]}`},
	{"the same with answers of 250 ms and a poll interval of 100 ms", `
{"seed": 1, "version": "19.0.5", "end": "100s", "finale": "", "quiet": "12s", "created": "", "strict": false,
 "releases": [{"ready":"500ms","grace":"60s","poll":"100ms"}, {"ready":"500ms","grace":"60s","poll":"100ms"},{"ready":"500ms","grace":"60s","poll":"100ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"4s","do":"slow","by":"250ms","for":"90s"},
  {"at":"6s","do":"deploy","who":1}]}`},
	{"not told: a younger instance that was stopped was believed for as long as its file was fresh, and the marker was written", `
{"seed": 1, "version": "14.13.9", "end": "60s", "finale": "", "quiet": "12s", "created": "", "strict": true,
 "releases": [{"ready":"500ms","settle":"5s"}, {"ready":"1s","settle":"5s"},{"ready":"500ms"}],
 "actions": [
  {"at":"5ms","do":"deploy"},
  {"at":"5s","on":"1 serving","after":"500ms","do":"pause","who":1,"for":"30s"},
  {"at":"6s","do":"deploy","who":1}]}`},
}

var _ = Describe("What was found once", func() {
	for _, r := range regressions {
		It("is not found again: "+r.found, func() {
			p, err := parse(strings.TrimSpace(r.plan))
			Expect(err).NotTo(HaveOccurred())
			text := ""
			bubble("regression", func(t *testing.T) {
				if o := tell(t, &p, true); len(o.wrong) > 0 {
					text = report(&p, o)
				}
			})
			if text != "" {
				Fail(text)
			}
		})
	}
})
