package proxy_test

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers for one name as Docker's does on a network of its own: with
// the addresses of all containers that run, IPv4 alone.
type nameServer struct {
	conn net.PacketConn
	name string
	list func() []netip.Addr

	mu      sync.Mutex
	answers [][]netip.Addr // of questions for IPv4 addresses, one after the other
}

func newNameServer(name string, list func() []netip.Addr) *nameServer {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	s := &nameServer{conn: conn, name: name + ".", list: list}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve()
	}()
	DeferCleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return s
}

func (s *nameServer) address() string { return s.conn.LocalAddr().String() }

// told is the longest list of addresses that was given in an answer so far.
func (s *nameServer) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := 0
	for _, a := range s.answers {
		most = max(most, len(a))
	}
	return most
}

func (s *nameServer) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return // closed
		}
		if answer := s.answer(packet[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer is the answer to a packet, nil to one that is no question.
func (s *nameServer) answer(packet []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	switch {
	case question.Name.String() != s.name:
		m.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		list := s.list()
		for _, a := range list {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 600},
				Body:   &dnsmessage.AResource{A: a.As4()},
			})
		}
		s.mu.Lock()
		s.answers = append(s.answers, slices.Clone(list))
		s.mu.Unlock()
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}
