package modules_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"starling/lib/clock"
	"starling/upstream/sticky"
	"starling/web/webtest"
	"starling/zone"
	"starling/zone/kinds"
)

// peers stand for the other nodes of a cluster: what they are waited for, and when they have it.
type peers struct {
	asked chan zone.Need
	have  chan struct{}
	late  chan bool
}

func (p *peers) deliver(need zone.Need) zone.Delivery {
	p.asked <- need
	return p
}

func (p *peers) Done() <-chan struct{}          { return p.have }
func (p *peers) End(late bool, _ clock.Reading) { p.late <- late }
func (p *peers) Nodes() (have, needed int)      { return 1, 1 }
func (p *peers) waits() (n int)                 { return len(p.asked) }
func newPeers(s *webtest.Server, at string) *peers {
	p := &peers{asked: make(chan zone.Need, 100), have: make(chan struct{}), late: make(chan bool, 100)}
	for _, z := range s.Plan.Zones.All() {
		if z.Name == at {
			z.Value.(interface{ Unwrap() zone.Shared }).Unwrap().OnDeliver(p.deliver)
		}
	}
	return p
}

// The head of the response that creates a session is held back until the peers have the session, although the rest of
// the response is not there yet.
func TestTheHeadWaitsForThePeers(t *testing.T) {
	rest := make(chan struct{})
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: session=1\r\n\r\nab")
		<-rest
		p.Say("cd")
	})
	s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; sticky learn zone=s:1m sync=10s
		create=$upstream_cookie_session lookup=$cookie_session; } server { location / { proxy_pass http://u; proxy_buffering off; } }`)
	p := newPeers(s, "s")
	conn := s.Dial()
	heard := make(chan byte, 1)
	in := bufio.NewReader(conn)
	go func() {
		first, err := in.Peek(1)
		if err == nil {
			heard <- first[0]
		}
		close(heard)
	}()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	webtest.Receive(t, p.asked)
	select {
	case <-heard:
		t.Error("the head is sent before the peers have the session")
	default:
	}
	close(p.have)
	if webtest.Receive(t, heard) != 'H' {
		t.Error("no head follows when the peers have the session")
	}
	close(rest)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(r.Body); string(body) != "abcd" || err != nil {
		t.Errorf("%q %v", body, err)
	}
	if webtest.Receive(t, p.late) {
		t.Error("a wait that the peers ended counts as late")
	}
}

// Only a new or moved session waits.
func TestWhichResponsesWait(t *testing.T) {
	f := fleet{}
	for _, name := range []string{"a", "b"} {
		f.backend(t, name, func(r *http.Request) string {
			if down := r.Header.Get("X-Down"); strings.Contains(down, name) {
				return reply(503, "down")
			}
			if id := r.Header.Get("X-Login"); id != "" {
				return reply(200, name, "Set-Cookie: session="+id)
			}
			return reply(200, name)
		})
	}
	const text = `upstream u { server {a}; server {b}; sticky learn zone=s:1m SYNC create=$upstream_cookie_session lookup=$cookie_session; }
		server { location / { proxy_pass http://u; proxy_next_upstream http_503; } }`
	for _, c := range []struct {
		name, sync string
		headers    []string
		waits      int
	}{
		{"no session", "sync", nil, 0},
		{"an unknown session", "sync", []string{"Cookie: session=none"}, 0},
		{"a new session", "sync", []string{"X-Login: new"}, 1},
		{"a new session with header", "sync header", []string{"X-Login: new"}, 1},
		{"a new session without a wait", "sync=0", []string{"X-Login: new"}, 0},
		{"a session that is used", "sync", []string{"Cookie: session=known"}, 0},
		{"a session that is created again", "sync", []string{"X-Login: known", "Cookie: session=known"}, 0},
		{"a session that moves", "sync", []string{"Cookie: session=known", "X-Down: a"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := f.start(t, strings.Replace(text, "SYNC", c.sync, 1))
			client := s.Client()
			if got := run(client, 1, "X-Login: known"); got != "a" {
				t.Fatal(got)
			}
			p := newPeers(s, "s")
			close(p.have)
			run(client, 1, c.headers...)
			if got := p.waits(); got != c.waits {
				t.Errorf("%d responses waited, want %d", got, c.waits)
			}
		})
	}
}

// A response does not wait for longer than sync= says.
func TestAResponseWaitsNoLongerThanSync(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", says("a", "Set-Cookie: session=1"))
	s := f.start(t, `upstream u { server {a}; sticky learn zone=s:1m sync=1ms create=$upstream_cookie_session lookup=$cookie_session; }
		server { location / { proxy_pass http://u; } }`)
	p := newPeers(s, "s")
	if got := run(s.Client(), 1); got != "a" {
		t.Error(got)
	}
	if need := webtest.Receive(t, p.asked); need != (zone.Need{LimitMS: 1}) {
		t.Errorf("it waits for %+v", need)
	}
	if !webtest.Receive(t, p.late) {
		t.Error("a wait that ran out of time does not count as late")
	}
}

// knowing stands for peers that know sessions, by their ids.
type knowing struct {
	zone   *kinds.Session
	server string
	asked  chan string // keys
	knows  map[string]bool
}

func (k *knowing) ask(key []byte, now clock.Reading) zone.Waiting {
	k.asked <- string(key)
	if k.knows[string(key)] {
		if err := k.zone.Bind(key, []byte(k.server), now); err != nil {
			panic(err)
		}
	}
	return answered{}
}

// answered is a question whose answer is there.
type answered struct{}

func (answered) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
func (answered) End(bool, clock.Reading) {}

// A request with a session that this node does not know goes where a peer says.
func TestAnUnknownSessionIsAskedFor(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", says("a"))
	f.backend(t, "b", says("b"))
	const text = `upstream u { server {a} route=one; server {b} route=two; sticky learn zone=s:1m SYNC create=$upstream_cookie_session lookup=$cookie_session; }
		server { location / { proxy_pass http://u; } }`
	for _, c := range []struct {
		name, sync, id string
		want           string
		asks           int
	}{
		{"peers know it", "sync", "known", "bbb", 1},
		{"nobody knows it", "sync", "nobody's", "aba", 3},
		{"no session can have the name", "sync", strings.Repeat("x", 5000), "aba", 0},
		{"there is none", "sync", "", "aba", 0},
		{"not to be asked for", "sync=0", "known", "aba", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := f.start(t, strings.Replace(text, "SYNC", c.sync, 1))
			k := &knowing{server: "two", asked: make(chan string, 100), knows: map[string]bool{}}
			key := sticky.Key([]byte("known"))
			k.knows[string(key[:])] = true
			for _, z := range s.Plan.Zones.All() {
				if z.Name == "s" {
					k.zone = z.Value.(interface{ Unwrap() zone.Shared }).Unwrap().(*kinds.Session)
				}
			}
			k.zone.OnAsk(k.ask)
			if got := run(s.Client(), 3, "Cookie: session="+c.id); got != c.want {
				t.Errorf("the requests went to %s, want %s", got, c.want)
			}
			if got := len(k.asked); got != c.asks {
				t.Errorf("%d requests asked, want %d", got, c.asks)
			}
		})
	}
}
