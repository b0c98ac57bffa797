package peer_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/peer"
)

// vector is one datagram of testdata/announcements.json or dropped.json.
type vector struct {
	Name    string   `json:"name"`
	What    string   `json:"what"`
	Secrets []string `json:"secrets"`
	Hex     string   `json:"hex"`

	// Reason is set in dropped.json only.
	Reason string `json:"reason"`

	// Encode tells that the encoder makes just these bytes.
	Encode     bool            `json:"encode"`
	Legacy     bool            `json:"legacy"`
	StartMilli int64           `json:"startMilli"`
	Instance   peer.InstanceID `json:"instance"`
	Phase      peer.Phase      `json:"phase"`
	Told       bool            `json:"told"`
	Ask        bool            `json:"ask"`
	Timed      bool            `json:"timed"`
	Listens    bool            `json:"listens"`
	Sequence   uint64          `json:"sequence,string"`
	Seconds    int             `json:"forgetAfterSeconds"`
	FirstStart struct {
		Boot string `json:"boot"`
		Ns   int64  `json:"ns,string"`
	} `json:"firstStart"`
	Container peer.ContainerID  `json:"container"`
	Release   uint64            `json:"release,string"`
	Acks      []peer.InstanceID `json:"acks"`
}

type vectorFile struct {
	BootID        string   `json:"bootId"`
	AppID         string   `json:"appId"`
	Service       string   `json:"service"`
	Domain        string   `json:"domain"`
	Announcements []vector `json:"announcements"`
	Dropped       []vector `json:"dropped"`
}

// load reads a file of testdata. It runs while the specs are built.
func load(path string, into any) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		panic(err)
	}
}

func unhex(text string) []byte {
	GinkgoHelper()
	raw, err := hex.DecodeString(text)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

func (v *vector) datagram() []byte { return unhex(v.Hex) }

func (v *vector) keys() *peer.Keyring { return keyring(v.Secrets...) }

func keyring(secrets ...string) *peer.Keyring {
	GinkgoHelper()
	var raw [][]byte
	for _, s := range secrets {
		raw = append(raw, []byte(s))
	}
	keys, err := peer.NewKeyring(raw...)
	Expect(err).NotTo(HaveOccurred())
	return keys
}

// announcement is what the vector's fields say.
func (v *vector) announcement(domain peer.Domain) peer.Announcement {
	a := peer.Announcement{Legacy: v.Legacy, StartMilli: v.StartMilli}
	if v.Legacy {
		return a
	}
	a.Domain, a.Instance, a.Phase, a.Told, a.Ask = domain, v.Instance, v.Phase, v.Told, v.Ask
	a.Timed, a.Listens = v.Timed, v.Listens
	a.FirstStart.Since = time.Duration(v.FirstStart.Ns)
	copy(a.FirstStart.Boot[:], unhex(v.FirstStart.Boot))
	a.Container, a.Release, a.Sequence = v.Container.Digits(), v.Release, v.Sequence
	a.ForgetAfter = time.Duration(v.Seconds) * time.Second
	a.SetAcks(v.Acks)
	return a
}

var _ = Describe("The test vectors", func() {
	var good, bad vectorFile
	load("testdata/announcements.json", &good)
	load("testdata/dropped.json", &bad)
	domain := peer.NewDomain(good.BootID, good.AppID, good.Service)

	It("have the domain of their boot id, app id and service", func() {
		Expect(domain.String()).To(Equal(good.Domain))
	})

	for _, v := range good.Announcements {
		It("decode: "+v.Name, func() {
			var a peer.Announcement
			Expect(a.Decode(v.datagram(), domain, v.keys())).To(Succeed())
			Expect(a).To(Equal(v.announcement(domain)))
		})
		if v.Encode {
			It("encode byte for byte: "+v.Name, func() {
				a := v.announcement(domain)
				got, err := a.Append([]byte("before"), v.keys())
				Expect(err).NotTo(HaveOccurred())
				Expect(hex.EncodeToString(got)).To(Equal(hex.EncodeToString([]byte("before")) + v.Hex))
			})
		}
	}

	for _, v := range bad.Dropped {
		It("are dropped: "+v.Name, func() {
			var a peer.Announcement
			err := a.Decode(v.datagram(), domain, v.keys())
			Expect(err).To(MatchError("peer: datagram dropped: " + v.Reason))
		})
	}

	It("have fewer than 512 bytes, the version byte 0x01 and at least nine bytes", func() {
		for _, v := range good.Announcements {
			raw := v.datagram()
			Expect(len(raw)).To(And(BeNumerically("<", 512), BeNumerically(">=", 9)), v.Name)
			Expect(raw[0]).To(BeEquivalentTo(1), v.Name)
		}
	})
})
