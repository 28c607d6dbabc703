// Package resolvertest is a small name server for tests: its records may change while it runs, and it can fail on
// demand.
package resolvertest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers for every name on UDP and TCP of one address. Names without records do not exist (NXDOMAIN).
type Server struct {
	// Addr is "127.0.0.1:port".
	Addr string

	udp, tcp *dns.Server

	mu         sync.Mutex
	records    map[string][]dns.RR
	rcodes     map[string]int
	typeRcodes map[string]typeRcode
	silent     map[string]bool
	truncate   bool
	asked      map[string]int
}

// Start runs a server on a free port of 127.0.0.1 until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Listen runs a server on an address; port 0 selects one that is free for UDP and TCP.
func Listen(addr string) (*Server, error) {
	// The port that the kernel assigns for UDP may be in use for TCP: try others.
	const tries = 20
	var err error
	for range tries {
		var pc net.PacketConn
		var l net.Listener
		if pc, err = net.ListenPacket("udp", addr); err != nil {
			return nil, err
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err != nil {
			pc.Close()
			continue
		}
		return serve(pc, l), nil
	}
	return nil, fmt.Errorf("no port for both UDP and TCP: %w", err)
}

func serve(pc net.PacketConn, l net.Listener) *Server {
	s := &Server{
		Addr:       pc.LocalAddr().String(),
		records:    map[string][]dns.RR{},
		rcodes:     map[string]int{},
		typeRcodes: map[string]typeRcode{},
		silent:     map[string]bool{},
		asked:      map[string]int{},
	}
	var started sync.WaitGroup
	started.Add(2)
	s.udp = &dns.Server{PacketConn: pc, Handler: s, NotifyStartedFunc: started.Done}
	s.tcp = &dns.Server{Listener: l, Handler: s, NotifyStartedFunc: started.Done}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		go func() {
			// An error here comes from Close, or shows as a question without an answer.
			_ = server.ActivateAndServe()
		}()
	}
	started.Wait()
	return s
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.udp.Shutdown()
	_ = s.tcp.Shutdown()
}

// Host sets the addresses of a name; with none the name no longer exists.
func (s *Server) Host(name string, ttl uint32, addrs ...string) {
	var lines []string
	for _, a := range addrs {
		kind := "A"
		if netip.MustParseAddr(a).Is6() {
			kind = "AAAA"
		}
		lines = append(lines, fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(name), ttl, kind, a))
	}
	s.Records(name, lines...)
}

// Records sets all records of a name, each in the form of zone files: "www.example.com. 60 IN CNAME example.com."
func (s *Server) Records(name string, lines ...string) {
	var rrs []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(fmt.Sprintf("resolvertest: record %q: %v", line, err))
		}
		rrs = append(rrs, rr)
	}
	key := canonical(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rcodes, key)
	delete(s.silent, key)
	if len(rrs) == 0 {
		delete(s.records, key)
		return
	}
	s.records[key] = rrs
}

// Fail makes questions for a name fail with a code such as dns.RcodeServerFailure, until its records are set again.
func (s *Server) Fail(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcodes[canonical(name)] = rcode
}

// FailType is Fail for questions of one type.
func (s *Server) FailType(name string, kind uint16, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typeRcodes[canonical(name)] = typeRcode{kind, rcode}
}

type typeRcode struct {
	kind  uint16
	rcode int
}

// Silence drops questions for a name without an answer, until its records are set again.
func (s *Server) Silence(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[canonical(name)] = true
}

// TruncateUDP makes all answers over UDP empty and truncated, so that clients must use TCP.
func (s *Server) TruncateUDP() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truncate = true
}

// Asked returns the number of queries for a name, of any type and over both protocols.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[canonical(name)]
}

// ServeDNS answers one message.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		return
	}
	reply, ok := s.reply(query, w.LocalAddr().Network() == "udp")
	if ok {
		_ = w.WriteMsg(reply) // the client will ask again
	}
}

func (s *Server) reply(query *dns.Msg, udp bool) (*dns.Msg, bool) {
	q := query.Question[0]
	key := canonical(q.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[key]++
	if s.silent[key] {
		return nil, false
	}
	reply := new(dns.Msg)
	reply.SetReply(query)
	if rcode, fails := s.rcodes[key]; fails {
		reply.Rcode = rcode
		return reply, true
	}
	if t, fails := s.typeRcodes[key]; fails && t.kind == q.Qtype {
		reply.Rcode = t.rcode
		return reply, true
	}
	if s.truncate && udp {
		reply.Truncated = true
		return reply, true
	}
	rrs, exists := s.records[key]
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	for _, rr := range rrs {
		if kind := rr.Header().Rrtype; kind == q.Qtype || kind == dns.TypeCNAME {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	return reply, true
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }
