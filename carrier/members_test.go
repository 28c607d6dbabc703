package carrier

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/cluster"
	"starling/lib/testkit"
)

// authority makes certificates for the address of the tests.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	a.key, a.cert, _ = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) make(template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert, der
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) issue() tls.Certificate {
	key, _, der := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.ParseIP(testkit.Loopback())},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.issue()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()}
}

func (a *authority) client() func(Member, netip.AddrPort) *tls.Config {
	cert, roots := a.issue(), a.pool()
	return func(_ Member, address netip.AddrPort) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, ServerName: address.Addr().String()}
	}
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	nodes := []*node{listen(t, 0), listen(t, 1), listen(t, 2)}
	stranger := listen(t, 3)
	var members []Member
	for _, n := range nodes {
		members = append(members, n.member())
	}
	for i, n := range append(nodes, stranger) {
		from := ours
		if i == 3 {
			from = theirs
		}
		n.serverTLS = from.server()
		n.start(members, func(config *Config) { config.ClientTLS = from.client() })
	}
	for _, n := range nodes {
		eventually(t, func() error { return n.online(2) })
	}
	nodes[1].set("k", "v")
	for _, n := range nodes {
		eventually(t, func() error { return n.has("k", "v") })
	}
	eventually(t, func() error {
		if stranger.log.find("TLS handshake: tls: failed to verify certificate") == "" {
			return errors.New("the stranger does not say why it is refused")
		}
		return nil
	})
	if got := stranger.carrier.Status().Node.NodesOnline; got != 0 {
		t.Errorf("the stranger is connected to %d nodes", got)
	}
}

func TestClearAgainstTLSIsNamed(t *testing.T) {
	secured, clear := listen(t, 0), listen(t, 1)
	secured.serverTLS = newAuthority(t).server()
	secured.start(nil, nil)
	clear.start([]Member{secured.member()}, nil)
	eventually(t, func() error {
		if clear.log.find("without answering the hello; see its error log (it may reject this node's certificate") == "" {
			return errors.New("not logged")
		}
		return nil
	})
}

// A name gains and loses addresses; failures keep those that are known.
func TestMembersByName(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	dns := &addresses{}
	dns.answer(errors.New("SERVFAIL"))
	named := Member{Host: "cluster.test", Port: b.member().Port, Resolve: true, Line: "a.conf:7"}
	b.start([]Member{a.member()}, nil)
	a.start([]Member{named}, func(config *Config) { config.Resolver = dns })
	waitLog := func(text string) {
		t.Helper()
		eventually(t, func() error {
			if a.log.find(text) == "" {
				return errors.New("not logged: " + text)
			}
			return nil
		})
	}
	waitLog("error: zone_sync: cannot resolve cluster.test in a.conf:7: SERVFAIL; keeping 0 known addresses")
	dns.answer(nil, testkit.Loopback(), "::ffff:"+testkit.Loopback())
	waitLog("notice: zone_sync: discovered " + testkit.Loopback() + ":")
	eventually(t, func() error { return a.online(1) })
	dns.answer(errors.New("timed out"))
	waitLog("timed out; keeping 1 known address,")
	if err := a.online(1); err != nil {
		t.Error(err)
	}
	dns.answer(nil, "127.0.0.77")
	waitLog("is no longer a member")
	eventually(t, func() error { return a.online(0) })
	eventually(t, func() error {
		if b.log.find("peer said goodbye: peer was removed from the membership") == "" {
			return errors.New("the other side was not told")
		}
		return nil
	})
}

func TestStaticNameThatDoesNotResolveIsAnError(t *testing.T) {
	dns := &addresses{}
	dns.answer(errors.New("no such host"))
	n := listen(t, 0)
	defer n.listener.Close()
	_, err := New(Config{
		Node:    cluster.Config{ID: 1, Incarnation: 1},
		Members: []Member{{Host: "gone.test", Port: 9000, Line: "nginx.conf:12"}}, StaticResolver: dns, Clock: n.clock, Log: n.log,
	})
	if err == nil || err.Error() != `host not found in zone_sync_server "gone.test:9000": no such host` {
		t.Error(err)
	}
}

func TestMemberNamedTwiceCountsOnce(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	first, second := b.member(), b.member()
	second.Line = "test.conf:2"
	b.start([]Member{a.member()}, nil)
	a.start([]Member{first, second}, nil)
	eventually(t, func() error { return a.online(1) })
	if a.log.find("is listed twice, in test.conf:1 and in test.conf:2; ignoring the second") == "" {
		t.Error("no warning")
	}
	if got := len(a.carrier.Status().Members); got != 1 {
		t.Errorf("%d addresses are dialled", got)
	}
}

// A hosts file or a name server can have one address twice.
func TestAnAddressCountsOnce(t *testing.T) {
	one, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	dns := &addresses{addrs: []netip.Addr{one, other, netip.MustParseAddr("::ffff:10.0.0.1"), other}}
	m := Member{Host: "nodes.test", Port: 9000}
	targets, _, err := lookup(t.Context(), &Config{StaticResolver: dns}, m)
	want := []target{{m, netip.AddrPortFrom(one, 9000)}, {m, netip.AddrPortFrom(other, 9000)}}
	if err != nil || !slices.Equal(targets, want) {
		t.Errorf("%v, %v, want %v", targets, err, want)
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "sync.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := listen(t, 0), listen(t, 1)
	b.listener.Close()
	b.listener = ln
	b.start([]Member{a.member()}, nil)
	a.start([]Member{{Unix: path, Line: "a.conf:1"}}, nil)
	eventually(t, func() error { return a.online(1) })
	a.set("k", "v")
	eventually(t, func() error { return b.has("k", "v") })
}

// A node that is stopped and started again with nothing is met again at once and taught.
func TestNodeRestarts(t *testing.T) {
	nodes := mesh(t, 3, nil)
	for i := range 500 {
		nodes[0].set(fmt.Sprint("key", i), "x")
		nodes[i%3].bucket.Account([]byte("k"), nodes[i%3].now(), testBurstMilli)
	}
	eventually(t, func() error { return nodes[1].has("key499", "x") })
	old := nodes[2]
	eventually(t, func() error {
		if !old.carrier.Node().Drained() {
			return errors.New("not drained")
		}
		return nil
	})
	old.listener.Close()
	old.carrier.Close()
	again := &node{t: t, index: 2, clock: old.clock, log: &journalLog{t: t}}
	var err error
	if again.listener, err = net.Listen("tcp", old.listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	again.start(old.config.Members, nil)
	eventually(t, func() error { return again.online(2) })
	for _, n := range []*node{nodes[0], nodes[1], again} {
		eventually(t, func() error { return n.has("key0", "x") })
		eventually(t, func() error {
			if got := n.excess("k"); got != 500 && got != 499 {
				return fmt.Errorf("node %d counts %d, want 500", n.index, got)
			}
			return nil
		})
	}
}

// A node that was away dials the others; they dial it back at once, however long their retry interval is.
func TestHelloIsAnsweredWithADial(t *testing.T) {
	patient := func(config *Config) { config.RetryInterval = time.Hour }
	a, b := listen(t, 0), listen(t, 1)
	port := b.member()
	b.listener.Close()
	a.start([]Member{port}, patient)
	eventually(t, func() error {
		if a.log.find("cannot connect to peer") == "" {
			return errors.New("a has not tried yet")
		}
		return nil
	})
	var err error
	if b.listener, err = net.Listen("tcp", fmt.Sprintf("%s:%d", port.Host, port.Port)); err != nil {
		t.Fatal(err)
	}
	b.start([]Member{a.member()}, patient)
	for _, n := range []*node{a, b} {
		eventually(t, func() error { return n.online(1) })
	}
}

// Strangers that connect and say nothing do not keep a node out, and are closed after the connect timeout.
func TestSilentStrangersGiveWay(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	// Long enough for all strangers to be there before the first has to go.
	a.start([]Member{b.member()}, func(config *Config) { config.Node.Settings.ConnectTimeoutMS = 5000 })
	var strangers []net.Conn
	for range maxGreeting + 20 {
		nc, err := net.Dial("tcp", a.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		strangers = append(strangers, nc)
	}
	b.start([]Member{a.member()}, nil)
	eventually(t, func() error { return b.online(1) })
	eventually(t, func() error {
		if a.log.find("are waiting for a hello and this was the oldest") == "" {
			return errors.New("nobody gave way")
		}
		return nil
	})
	for _, nc := range strangers {
		nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Fatalf("a stranger's connection ended with %v", err)
		}
	}
	eventually(t, func() error {
		if a.log.find("no hello arrived within 5s") == "" {
			return errors.New("the timeout is not logged")
		}
		return nil
	})
}

// Strangers that say something else each time are told of a few times a minute, and summed up.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	n := listen(t, 0)
	n.start(nil, nil)
	for i := range 100 {
		nc, err := net.Dial("tcp", n.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "HELO %03d HELO", i)
		nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(nc); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		nc.Close()
	}
	n.stop()
	if got := n.log.count("warn: zone_sync: closed the connection from "); got != 20 {
		t.Errorf("%d lines for 100 strangers", got)
	}
	if n.log.find("warn: suppressed 80 similar messages in the last minute; the last one: zone_sync: closed the connection from ") == "" {
		t.Error("nothing says how many there were")
	}
}

// A member that is silent delays nobody where another one can teach.
func TestSilentMemberIsNotWaitedForWhereAnotherTeaches(t *testing.T) {
	teacher, late := listen(t, 0), listen(t, 1)
	silent, err := net.Listen("tcp", testkit.Loopback()+":0") // the kernel connects, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	address := netip.MustParseAddrPort(silent.Addr().String())
	teacher.start(nil, nil)
	teacher.set("key", "value")
	eventually(t, func() error {
		if teacher.carrier.Learning() || !teacher.carrier.Node().Ready() {
			return errors.New("the teacher is not ready")
		}
		return nil
	})
	never := func(config *Config) { config.Node.Settings.ConnectTimeoutMS = patience.Milliseconds() * 10 }
	late.start([]Member{teacher.member(), {Host: address.Addr().String(), Port: int(address.Port())}}, never)
	if !late.carrier.Learning() {
		t.Error("who has heard of nobody yet is not waiting")
	}
	if err := teacher.carrier.Reload(func() Config { c := teacher.config; c.Members = []Member{late.member()}; return c }()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if late.carrier.Learning() {
			return errors.New("it waits for the silent member")
		}
		return nil
	})
	if err := late.has("key", "value"); err != nil {
		t.Errorf("clients are served before it knows: %v", err)
	}
}

// remoteAsked is a connection that says when it is about to be used, and waits.
type remoteAsked struct {
	net.Conn
	once  *sync.Once
	asked func()
}

func (c remoteAsked) RemoteAddr() net.Addr {
	c.once.Do(c.asked)
	return c.Conn.RemoteAddr()
}

// TestAMemberThatLeavesWhileItIsDialled is not synced with: neither over the connection that is just being made, nor over
// another one.
func TestAMemberThatLeavesWhileItIsDialled(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	b.start(nil, nil)
	a.start(nil, nil)
	var once sync.Once
	left := make(chan struct{})
	a.carrier.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return remoteAsked{conn, &once, func() {
			defer close(left)
			alone := a.config
			alone.Members = nil
			if err := a.carrier.Reload(alone); err != nil {
				t.Error(err)
			}
		}}, err
	}
	together := a.config
	together.Members = []Member{b.member()}
	if err := a.carrier.Reload(together); err != nil {
		t.Fatal(err)
	}
	<-left
	eventually(t, func() error {
		if open := a.carrier.open() + b.carrier.open(); open > 0 || a.log.find("is no longer a member") == "" {
			return fmt.Errorf("%d ends of connections are open", open)
		}
		return nil
	})
	if line := a.log.find("reconnecting in"); line != "" {
		t.Error(line)
	}
}

// TestANodeThatEndsDoesNotReconnect, nor says so.
func TestANodeThatEndsDoesNotReconnect(t *testing.T) {
	for what, end := range map[string]func(*Carrier) error{
		"quit":  func(c *Carrier) error { return c.Quit(context.Background()) },
		"close": func(c *Carrier) error { c.Close(); return nil },
	} {
		a, b := listen(t, 0), listen(t, 1)
		b.start([]Member{a.member()}, nil)
		a.start([]Member{b.member()}, nil)
		for _, n := range []*node{a, b} {
			eventually(t, func() error { return n.readies(true, false, "") })
		}
		if err := end(a.carrier); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, words := range []string{"reconnecting", "retrying", "cannot "} {
			if line := a.log.find(words); line != "" && !strings.Contains(line, "refused") {
				t.Errorf("%s: %s", what, line)
			}
		}
		eventually(t, func() error {
			if b.log.find("lost connection to peer") == "" {
				return fmt.Errorf("%s: the other one has not noticed", what)
			}
			return nil
		})
	}
}

// TestAnUnknownNodeIsLookedUp: its address is used at once, however long the last answer is valid, and even if the name
// server needs a moment for it.
func TestAnUnknownNodeIsLookedUp(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	dns := &addresses{valid: time.Hour}
	dns.answer(nil, "127.0.0.77")
	a.start([]Member{{Host: "cluster.test", Port: b.member().Port, Resolve: true, Line: "a.conf:7"}}, func(config *Config) {
		config.Resolver = dns
	})
	eventually(t, func() error {
		if a.log.find("discovered 127.0.0.77:") == "" {
			return errors.New("the first answer is not used")
		}
		return nil
	})
	b.start([]Member{a.member()}, nil)
	eventually(t, func() error {
		dns.mu.Lock()
		defer dns.mu.Unlock()
		if dns.forgotten < 2 {
			return fmt.Errorf("asked anew %d times", dns.forgotten)
		}
		return nil
	})
	dns.answer(nil, testkit.Loopback())
	eventually(t, func() error { return b.readies(true, false, "") })
	eventually(t, func() error { return a.online(1) })
}
