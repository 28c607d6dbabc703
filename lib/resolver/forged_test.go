package resolver_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"starling/lib/resolver"

	"github.com/miekg/dns"
)

// nameServer hears queries on UDP and TCP of one port and sends, for each, the messages that the test makes of it. No
// message: silence.
type nameServer struct {
	udp, tcp func(query *dns.Msg) [][]byte
}

// start returns a resolver that asks the server alone.
func (s nameServer) start(t *testing.T, timeout time.Duration) *resolver.Resolver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); pc.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, m := range s.udp(unpacked(buf[:n])) {
				pc.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	r, err := resolver.New(resolver.Config{Servers: []string{l.Addr().String()}, IPv4: true, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s nameServer) serve(conn net.Conn) {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	for _, m := range s.tcp(unpacked(query)) {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	}
	io.Copy(io.Discard, conn) // until the resolver has what it wants
}

func unpacked(b []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		panic(err)
	}
	return m
}

// answer says that every name is at an address.
func answer(query *dns.Msg, addr string) *dns.Msg {
	m := new(dns.Msg).SetReply(query)
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(addr)}}
	return m
}

func packed(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

const right, wrong = "10.0.0.1", "6.6.6.6"

// forgeries are messages that are no answer to a query, though their id is right but for the first.
var forgeries = map[string]func(query *dns.Msg) []byte{
	"another id":             func(q *dns.Msg) []byte { m := answer(q, wrong); m.Id++; return packed(m) },
	"the query":              packed,
	"a query with an answer": func(q *dns.Msg) []byte { m := answer(q, wrong); m.Response = false; return packed(m) },
	"another name":           func(q *dns.Msg) []byte { m := answer(q, wrong); m.Question[0].Name = "evil.example."; return packed(m) },
	"another type":           func(q *dns.Msg) []byte { m := answer(q, wrong); m.Question[0].Qtype = dns.TypeAAAA; return packed(m) },
	"another class": func(q *dns.Msg) []byte {
		m := answer(q, wrong)
		m.Question[0].Qclass = dns.ClassCHAOS
		return packed(m)
	},
	"another kind": func(q *dns.Msg) []byte { m := answer(q, wrong); m.Opcode = dns.OpcodeNotify; return packed(m) },
	"two questions": func(q *dns.Msg) []byte {
		m := answer(q, wrong)
		m.Question = append(m.Question, m.Question[0])
		return packed(m)
	},
	"no question": func(q *dns.Msg) []byte { m := answer(q, wrong); m.Question = nil; return packed(m) },
	"no question, and the name does not exist": func(q *dns.Msg) []byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		m.Question = nil
		return packed(m)
	},
	"another name, and it does not exist": func(q *dns.Msg) []byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		m.Question[0].Name = "evil.example."
		return packed(m)
	},
	"another name, truncated": func(q *dns.Msg) []byte {
		m := answer(q, wrong)
		m.Question[0].Name, m.Truncated = "evil.example.", true
		return packed(m)
	},
	"cut within the id":       func(q *dns.Msg) []byte { return packed(answer(q, wrong))[:1] },
	"cut within the question": func(q *dns.Msg) []byte { return packed(answer(q, wrong))[:20] },
	"cut within the answer":   func(q *dns.Msg) []byte { b := packed(answer(q, wrong)); return b[:len(b)-2] },
	"nothing":                 func(*dns.Msg) []byte { return nil },
	"the id and noise": func(q *dns.Msg) []byte {
		return append(packed(q)[:2], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"...)
	},
	"a name that points at itself": func(q *dns.Msg) []byte {
		b := packed(answer(q, wrong))
		return append(b[:12:12], 0xc0, 12, 0, 1, 0, 1)
	},
}

// TestWhatIsNoAnswerIsPassedOver has a name server that sends a forgery, twice, and then the answer: over UDP, and over
// TCP after a truncated answer.
func TestWhatIsNoAnswerIsPassedOver(t *testing.T) {
	for name, forge := range forgeries {
		before := func(q *dns.Msg) [][]byte { return [][]byte{forge(q), forge(q), packed(answer(q, right))} }
		truncated := func(q *dns.Msg) [][]byte {
			m := new(dns.Msg).SetReply(q)
			m.Truncated = true
			return [][]byte{packed(m)}
		}
		for network, s := range map[string]nameServer{
			"udp": {udp: before, tcp: func(*dns.Msg) [][]byte { return nil }},
			"tcp": {udp: truncated, tcp: before},
		} {
			t.Run(name+" over "+network, func(t *testing.T) {
				t.Parallel()
				addrs, _, err := s.start(t, 3*time.Second).Lookup(t.Context(), "good.example")
				if err != nil || len(addrs) != 1 || addrs[0].String() != right {
					t.Errorf("%v, %v", addrs, err)
				}
			})
		}
	}
}

func TestTheErrorTellsOfForgeries(t *testing.T) {
	asked := 0
	s := nameServer{udp: func(q *dns.Msg) [][]byte {
		if asked++; asked > 1 {
			return nil
		}
		return [][]byte{forgeries["the query"](q), forgeries["another name"](q)}
	}}
	addrs, _, err := s.start(t, 200*time.Millisecond).Lookup(t.Context(), "good.example")
	if err == nil || !strings.Contains(err.Error(), "dropped 2 messages, last reason: answer to a different question") {
		t.Errorf("%v, %v", addrs, err)
	}
}

func TestTheCaseOfTheQuestionDoesNotMatter(t *testing.T) {
	s := nameServer{udp: func(q *dns.Msg) [][]byte {
		m := answer(q, right)
		m.Question[0].Name, m.Answer[0].Header().Name = "GOOD.Example.", "gOOD.example."
		return [][]byte{packed(m)}
	}}
	addrs, _, err := s.start(t, 3*time.Second).Lookup(t.Context(), "good.example")
	if err != nil || len(addrs) != 1 || addrs[0].String() != right {
		t.Errorf("%v, %v", addrs, err)
	}
}

// TestATruncatedAnswerMayBeCutAnywhere leads to TCP: some servers cut within a record.
func TestATruncatedAnswerMayBeCutAnywhere(t *testing.T) {
	whole := func(q *dns.Msg) []byte { return packed(answer(q, right)) }
	s := nameServer{
		udp: func(q *dns.Msg) [][]byte {
			b := whole(q)
			b[2] |= 0x02 // TC
			return [][]byte{b[:len(b)-2]}
		},
		tcp: func(q *dns.Msg) [][]byte { return [][]byte{whole(q)} },
	}
	addrs, _, err := s.start(t, 3*time.Second).Lookup(t.Context(), "good.example")
	if err != nil || len(addrs) != 1 || addrs[0].String() != right {
		t.Errorf("%v, %v", addrs, err)
	}
}

// TestATruncatedErrorIsFinal: it does not lead to TCP, where this server is silent.
func TestATruncatedErrorIsFinal(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNameError, dns.RcodeRefused} {
		s := nameServer{udp: func(q *dns.Msg) [][]byte {
			m := new(dns.Msg).SetRcode(q, code)
			m.Truncated = true
			return [][]byte{packed(m)}
		}, tcp: func(*dns.Msg) [][]byte {
			t.Errorf("code %d: asked over TCP", code)
			return nil
		}}
		_, _, err := s.start(t, 2*time.Second).Lookup(t.Context(), "good.example")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(%d: ", code)) {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

// TestARefusalNeedsNoQuestion ends the try: public servers refuse with a header alone.
func TestARefusalNeedsNoQuestion(t *testing.T) {
	s := nameServer{udp: func(q *dns.Msg) [][]byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeRefused)
		m.Question = nil
		return [][]byte{packed(m)}
	}}
	_, _, err := s.start(t, time.Minute).Lookup(t.Context(), "good.example")
	if err == nil || !strings.Contains(err.Error(), "(5: ") {
		t.Error(err)
	}
}
