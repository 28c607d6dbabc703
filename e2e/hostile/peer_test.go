package hostile

import (
	"bufio"
	"crypto/tls"
	enc "encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"testing"
	"time"

	"starling/e2e/harness"
)

// This file is a peer written from cluster/wire/PROTOCOL.md alone: it has nothing of starling's own code. What it says
// is up to who uses it.

const preamble = "\x8e\x53\x54\x52\x4c\x0d\x0a\x01"

// The types of messages that it knows.
const (
	msgHello = 1 + iota
	msgReply
	msgHeartbeat
	msgData
	msgAck
	msgTeachRequest
	msgTeachBegin
	msgTeach
	msgTakeover = 12
	msgGoodbye  = 13
)

// The statuses of a reply.
const (
	accepted  = 0
	duplicate = 1
	refused   = 3
)

// bytesOf builds a body: numbers as uvarints, u64s as 8 bytes, texts with their length, raw bytes as they are.
func bytesOf(parts ...any) (b []byte) {
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			b = enc.AppendUvarint(b, uint64(v))
		case uint64:
			b = enc.AppendUvarint(b, v)
		case u64:
			b = enc.LittleEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(enc.AppendUvarint(b, uint64(len(v))), v...)
		case byte:
			b = append(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

// u64 is a number of 8 bytes.
type u64 uint64

// framed puts a frame around a body.
func framed(kind byte, body []byte) []byte {
	content := append([]byte{kind}, body...)
	sum := crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))
	return enc.LittleEndian.AppendUint32(bytesOf(len(content)+4, content), sum)
}

// intro is who a peer says that it is.
type intro struct {
	id, incarnation uint64
	wallMS          uint64
	zones           []introZone
	rest            []byte // what follows the zones
}

// introZone is a zone of it.
type introZone struct {
	name                string
	kind                byte
	key                 string
	size, timeout, rate uint64
	origin              uint64
	flags               byte
	rest                []byte // lineage and incarnation
}

func (h intro) body() []byte {
	b := bytesOf(1, 1, 2, u64(h.id), u64(h.incarnation), "", 5000, h.wallMS, len(h.zones))
	for _, z := range h.zones {
		b = bytesOf(b, string(bytesOf(z.name, z.kind, z.key, z.size, z.timeout, z.rate, u64(z.origin), z.flags, z.rest)))
	}
	return append(b, h.rest...)
}

// zone is the place of a zone.
func (h intro) zone(name string) int {
	for i, z := range h.zones {
		if z.name == name {
			return i
		}
	}
	return -1
}

// body reads the parts of a message; what is not there is zero and an error.
type body struct {
	b   []byte
	err error
}

func (r *body) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errors.New("a message is too short"), nil
		return make([]byte, min(max(n, 0), 8))
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *body) number() uint64 {
	v, n := enc.Uvarint(r.b)
	r.take(n)
	return v
}

func (r *body) fixed() uint64 { return enc.LittleEndian.Uint64(r.take(8)) }
func (r *body) text() string  { return string(r.take(int(r.number()))) }

func (r *body) intro() (h intro) {
	r.number()
	r.number()
	r.number()
	h.id, h.incarnation = r.fixed(), r.fixed()
	r.text()
	r.number()
	h.wallMS = r.number()
	for n := r.number(); n > 0 && r.err == nil; n-- {
		e := body{b: []byte(r.text())}
		z := introZone{
			name:    e.text(),
			kind:    e.take(1)[0],
			key:     e.text(),
			size:    e.number(),
			timeout: e.number(),
			rate:    e.number(),
			origin:  e.fixed(),
			flags:   e.take(1)[0],
		}
		z.rest = e.b
		h.zones = append(h.zones, z)
		r.err = errors.Join(r.err, e.err)
	}
	h.rest = r.b
	return h
}

// peer is one connection of the program.
type peer struct {
	conn net.Conn
	r    *bufio.Reader
}

func newPeer(conn net.Conn) (*peer, error) {
	p := &peer{conn, bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return nil, err
	}
	_, err := io.WriteString(conn, preamble)
	return p, err
}

func (p *peer) say(kind byte, parts ...any) error {
	_, err := p.conn.Write(framed(kind, bytesOf(parts...)))
	return err
}

// hear reads the next frame.
func (p *peer) hear() (kind byte, r *body, err error) {
	size, err := enc.ReadUvarint(p.r)
	if err != nil {
		return 0, nil, err
	}
	content := make([]byte, min(size, 16<<20))
	if _, err := io.ReadFull(p.r, content); err != nil {
		return 0, nil, err
	}
	return content[0], &body{b: content[1 : len(content)-4]}, nil
}

// opened reads the other side's preamble.
func (p *peer) opened() error {
	got := make([]byte, len(preamble))
	if _, err := io.ReadFull(p.r, got); err != nil {
		return err
	}
	if string(got) != preamble {
		return fmt.Errorf("it opens with %x", got)
	}
	return nil
}

// answer is a reply to a hello.
type answer struct {
	status byte
	text   string
	hello  intro
}

// greet says hello and reads the reply.
func (p *peer) greet(h intro) (a answer, err error) {
	if err := p.say(msgHello, h.body()); err != nil {
		return a, err
	}
	if err := p.opened(); err != nil {
		return a, err
	}
	kind, r, err := p.hear()
	if err != nil {
		return a, err
	}
	if kind != msgReply {
		return a, fmt.Errorf("the hello is answered with a frame of type %d", kind)
	}
	a.status, a.text = r.take(1)[0], r.text()
	inner := body{b: []byte(r.text())}
	a.hello = inner.intro()
	return a, errors.Join(r.err, inner.err)
}

// intruder is where the program runs: an address, perhaps with a certificate.
type intruder struct {
	t   *testing.T
	ip  string
	tls *tls.Config
}

// dials connects to a node's sync server from the intruder's address.
func (i *intruder) dials(n *harness.Node) *peer {
	i.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(i.ip)}, Timeout: harness.Patience}
	conn, err := d.Dial("tcp", n.IP+":9000")
	if err != nil {
		i.t.Fatal(err)
	}
	if i.tls != nil {
		conn = tls.Client(conn, i.tls)
	}
	i.t.Cleanup(func() { conn.Close() })
	p, err := newPeer(conn)
	if err != nil {
		i.t.Fatal(err)
	}
	return p
}

// meets dials a node and says hello.
func (i *intruder) meets(n *harness.Node, h intro) (*peer, answer) {
	i.t.Helper()
	p := i.dials(n)
	a, err := p.greet(h)
	if err != nil {
		i.t.Fatalf("greeting %s: %v", n.Name, err)
	}
	return p, a
}

// listens answers whoever dials the intruder as a member, and says heartbeats.
func (i *intruder) listens(h func() intro) {
	i.t.Helper()
	l, err := net.Listen("tcp", i.ip+":9000")
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if i.tls != nil {
				conn = tls.Server(conn, i.tls)
			}
			go serveAs(conn, h())
		}
	}()
}

// serveAs accepts whatever it is told, until the connection ends.
func serveAs(conn net.Conn, h intro) {
	defer conn.Close()
	p, err := newPeer(conn)
	if err != nil || p.opened() != nil {
		return
	}
	for {
		kind, _, err := p.hear()
		switch {
		case err != nil:
			return
		case kind == msgHello:
			err = p.say(msgReply, byte(accepted), "", string(h.body()), 0)
		case kind == msgHeartbeat:
			err = p.say(msgHeartbeat, h.wallMS, 0, 0, 0)
		}
		if err != nil {
			return
		}
	}
}
