package peer_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

// said is an announcement as the test vectors have it, and wire.py: what is not
// said is missing.
type said map[string]any

func saidBy(a *peer.Announcement) said {
	v := said{"startMilli": float64(a.StartMilli)}
	if a.Legacy {
		v["legacy"] = true
		return v
	}
	v["instance"], v["phase"], v["sequence"] = a.Instance.String(), a.Phase.String(), fmt.Sprint(a.Sequence)
	set := func(key string, is bool, value any) {
		if is {
			v[key] = value
		}
	}
	set("told", a.Told, true)
	set("ask", a.Ask, true)
	set("timed", a.Timed, true)
	set("listens", a.Listens, true)
	set("forgetAfterSeconds", a.ForgetAfter > 0, a.ForgetAfter.Seconds())
	set("firstStart", a.FirstStart.Known(), map[string]any{
		"boot": hex.EncodeToString(a.FirstStart.Boot[:]), "ns": fmt.Sprint(int64(a.FirstStart.Since)),
	})
	set("container", a.Container != peer.ContainerDigits{}, string(a.Container[:]))
	set("release", a.Release != 0, fmt.Sprint(a.Release))
	var acks []any
	for _, id := range a.Acks() {
		acks = append(acks, id.String())
	}
	set("acks", len(acks) > 0, acks)
	return v
}

// question and reply are lines to and from testdata/wire.py.
type question struct {
	Op      string   `json:"op"`
	Hex     string   `json:"hex"`
	Domain  string   `json:"domain"`
	Secrets []string `json:"secrets"`
	Said    any      `json:"said"`
	BootID  string   `json:"bootId"`
	AppID   string   `json:"appId"`
	Service string   `json:"service"`
}

type reply struct {
	Hex    string `json:"hex"`
	Said   said   `json:"said"`
	Reason string `json:"reason"`
}

// askWire asks testdata/wire.py, which knows README.md only.
func askWire(questions []question) []reply {
	GinkgoHelper()
	python, err := exec.LookPath("python3")
	if err != nil {
		Skip("Python 3 is not installed")
	}
	var in, errors bytes.Buffer
	for _, q := range questions {
		line, err := json.Marshal(q)
		Expect(err).NotTo(HaveOccurred())
		in.Write(append(line, '\n'))
	}
	run := exec.Command(python, "testdata/wire.py")
	run.Stdin, run.Stderr = &in, &errors
	out, err := run.Output()
	Expect(err).NotTo(HaveOccurred(), "%s", &errors)
	var replies []reply
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var r reply
		Expect(json.Unmarshal(lines.Bytes(), &r)).To(Succeed())
		replies = append(replies, r)
	}
	Expect(replies).To(HaveLen(len(questions)))
	return replies
}

// decoded is what this package makes of a datagram.
func decoded(raw []byte, secrets []string) reply {
	GinkgoHelper()
	var a peer.Announcement
	var reason peer.DropReason
	if errors.As(a.Decode(raw, testDomain, keyring(secrets...)), &reason) {
		return reply{Reason: reason.String()}
	}
	return reply{Said: saidBy(&a)}
}

var _ = Describe("The specification in README.md is enough for another language", func() {
	It("to compute the domain", func() {
		questions := []question{
			{Op: "domain", BootID: "6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", AppID: "1234", Service: "main"},
			{Op: "domain", BootID: "6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", AppID: "12", Service: "34main"},
			{Op: "domain", Service: strings.Repeat("ä", 1000)},
		}
		for i, r := range askWire(questions) {
			q := questions[i]
			Expect(r.Hex).To(Equal(peer.NewDomain(q.BootID, q.AppID, q.Service).String()))
		}
	})

	It("for every test vector, both ways, and for every reason of a drop", func() {
		var good, bad vectorFile
		load("testdata/announcements.json", &good)
		load("testdata/dropped.json", &bad)
		var questions []question
		for _, v := range append(good.Announcements, bad.Dropped...) {
			questions = append(questions, question{Op: "decode", Hex: v.Hex, Domain: good.Domain, Secrets: v.Secrets})
		}
		replies := askWire(questions)
		for i, v := range bad.Dropped {
			Expect(replies[len(good.Announcements)+i].Reason).To(Equal(v.Reason), v.Name)
		}
		questions = nil
		var wanted []string
		for i, v := range good.Announcements {
			Expect(replies[i]).To(Equal(decoded(v.datagram(), v.Secrets)), v.Name)
			if v.Encode {
				questions = append(questions, question{Op: "encode", Said: replies[i].Said, Domain: good.Domain, Secrets: v.Secrets})
				wanted = append(wanted, v.Hex)
			}
		}
		for i, r := range askWire(questions) {
			Expect(r.Hex).To(Equal(wanted[i]))
		}
	})

	It("for what handover-lib has sent", func() {
		var all []recorded
		load("testdata/handover-lib.json", &all)
		var questions []question
		for _, r := range all {
			if r.Status != "" {
				questions = append(questions, question{Op: "status", Said: r})
			} else {
				questions = append(questions, question{Op: "encode", Said: said{"legacy": true, "startMilli": r.Timestamp}})
			}
		}
		for i, r := range askWire(questions) {
			Expect(r.Hex).To(Equal(all[i].Hex))
		}
	})

	It("for thousands of datagrams made at random, damaged and cut off", func() {
		random := rand.New(rand.NewPCG(1, 2))
		secrets := [][]string{nil, {"a"}, {"b", "a"}}
		var questions []question
		var wanted []reply
		decode := func(raw []byte) {
			for _, s := range secrets {
				questions = append(questions, question{Op: "decode", Hex: hex.EncodeToString(raw), Domain: testDomain.String(), Secrets: s})
				wanted = append(wanted, decoded(raw, s))
			}
		}
		reasons := map[string]int{}
		for range 1000 {
			a := arbitrary(random)
			s := secrets[random.IntN(len(secrets))]
			raw := encode(a, keyring(s...))
			questions = append(questions, question{Op: "encode", Said: saidBy(&a), Domain: testDomain.String(), Secrets: s})
			wanted = append(wanted, reply{Hex: hex.EncodeToString(raw)})
			decode(raw)
			for range 3 {
				decode(damaged(random, raw))
			}
		}
		for i, r := range askWire(questions) {
			Expect(r).To(Equal(wanted[i]), "%+v", questions[i])
			reasons[r.Reason]++
		}
		for _, reason := range []string{"", "short", "oversized", "version", "unsigned", "zero", "malformed", "domain", "extension", "signature"} {
			Expect(reasons[reason]).To(BeNumerically(">", 3), "%q: %v", reason, reasons)
		}
	})
})

// arbitrary is an announcement with any values, and any fields missing.
func arbitrary(random *rand.Rand) peer.Announcement {
	some := func() bool { return random.IntN(2) == 0 }
	id := func() (id peer.InstanceID) {
		for i := range id {
			id[i] = byte(random.Uint32())
		}
		return id
	}
	if random.IntN(10) == 0 {
		return peer.Announcement{Legacy: true, StartMilli: int64(random.Uint64N(1 << 50))}
	}
	a := peer.Announcement{
		Domain: testDomain, Instance: id(), Phase: peer.Phase(1 + random.IntN(7)),
		Sequence: 1 + random.Uint64N(1<<63), Told: some(), Ask: some(), Timed: some(), Listens: some(),
	}
	if some() {
		a.StartMilli = int64(random.Uint64N(1 << 50)) // within what JSON's numbers hold
	}
	if some() {
		a.FirstStart = peer.FirstStart{Boot: [4]byte{1, byte(random.Uint32())}, Since: time.Duration(random.Int64())}
	}
	if some() {
		a.Container = peer.ContainerID(fmt.Sprintf("%012x", random.Uint64N(1<<48))).Digits()
	}
	if some() {
		a.Release = random.Uint64()
	}
	if some() {
		a.ForgetAfter = time.Duration(3+random.IntN(3598)) * time.Second
	}
	var acks []peer.InstanceID
	for range random.IntN(9) {
		acks = append(acks, id())
	}
	a.SetAcks(acks)
	return a
}

// damaged is the datagram with something wrong, or something more, or less.
func damaged(random *rand.Rand, raw []byte) []byte {
	raw = bytes.Clone(raw)
	switch random.IntN(6) {
	case 0:
		raw = raw[:random.IntN(len(raw)+1)]
	case 1:
		raw[random.IntN(min(len(raw), 20))] ^= 1 << random.IntN(8)
	case 2:
		raw = raw[:9]
		raw[1] = byte(random.Uint32())
	case 3: // a field more, of any type and length
		if len(raw) > 20 {
			kind, value := byte(random.IntN(12)), make([]byte, random.IntN(20))
			if random.IntN(4) == 0 {
				kind, value = 0xff, make([]byte, 31+random.IntN(3))
			}
			raw = append(raw, kind, byte(len(value)))
			raw = append(raw, value...)
		}
	case 4:
		if random.IntN(4) == 0 {
			raw = append(raw, make([]byte, 512)...)
		}
		fallthrough
	default:
		for range 1 + random.IntN(3) {
			raw[random.IntN(len(raw))] = byte(random.Uint32())
		}
	}
	return raw
}
