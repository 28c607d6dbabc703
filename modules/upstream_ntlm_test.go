package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"starling/lib/testkit"
	pool "starling/upstream"
	"starling/upstream/groups"
	"starling/web"
	"starling/web/webtest"
)

// windows is a server that authenticates connections: its answer is the name that was given on this connection.
func windows(t *testing.T) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		user := "nobody"
		for {
			r, err := http.ReadRequest(p.R)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			if given := r.Header.Get("Authorization"); given != "" {
				user = given
			}
			p.Answer(user)
		}
	})
}

// TestNTLM: the connection that a client has authenticated is its own, for its later requests without credentials too,
// and ends with the client's connection.
func TestNTLM(t *testing.T) {
	for _, scheme := range []string{"NTLM a", "Negotiate b", "nTLM"} {
		b := windows(t)
		s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; ntlm; keepalive 8; } server { location / { proxy_pass http://u; } }`)
		first, second := s.Client(), s.Client()
		if got := run(first, 2); got != "nobodynobody" {
			t.Errorf("before: %s", got)
		}
		if got := get(first, "Authorization: "+scheme).Text + " " + run(first, 2); got != scheme+" "+scheme+scheme {
			t.Errorf("authenticated: %s", got)
		}
		if got := run(second, 2); got != "nobodynobody" {
			t.Errorf("another client: %s", got)
		}
		if got := run(first, 1); got != scheme {
			t.Errorf("after another client: %s", got)
		}
		if n := b.Accepted.Load(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	}
	for name, c := range map[string]struct{ block, header string }{
		"without ntlm": {"", "Authorization: NTLM a"}, "another scheme": {"ntlm;", "Authorization: Basic a"},
	} {
		b := windows(t)
		s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; `+c.block+` } server { location / { proxy_pass http://u; } }`)
		// The server's connection is kept for others by the time the client's is closed.
		leaves := s.DialLoopback()
		io.WriteString(leaves, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+c.header+"\r\n\r\n")
		io.Copy(io.Discard, leaves)
		if got := run(s.Client(), 1); got == "nobody" || b.Accepted.Load() != 1 {
			t.Errorf("%s: another client got %s", name, got)
		}
	}
}

// TestNTLMEnds: the server's connection ends with the client's, and what was bound to a server that is gone is not used.
func TestNTLMEnds(t *testing.T) {
	var open atomic.Int32
	serve := func(name string) *webtest.Backend {
		return webtest.Serve(t, func(p *webtest.Peer) {
			open.Add(1)
			defer open.Add(-1)
			for p.Head() != "" {
				p.Answer(name)
			}
		})
	}
	a, b := serve("a"), serve("b")
	s := webtest.Start(t, upstreamAPIFamilies, `upstream u { zone u 64k; ntlm; server `+a.Addr+`; server `+b.Addr+` down; }
		server { location / { proxy_pass http://u; } }`)
	c := s.Client()
	got := get(c, "Authorization: NTLM x").Text
	g := groups.Of[*web.Request](s.Plan).Named("u")
	up, down := false, true
	for id, change := range map[int]*bool{0: &down, 1: &up} {
		if _, err := g.Change(id, pool.Change{Down: change}, s.Plan.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	got += get(c).Text + get(c, "Authorization: NTLM x").Text
	if got != "abb" {
		t.Errorf("asked %s, want abb", got)
	}
	leaves := s.DialLoopback()
	io.WriteString(leaves, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: NTLM y\r\n\r\n")
	io.Copy(io.Discard, leaves)
	c.Conn.Close()
	testkit.Eventually(t, webtest.Patience, func() error {
		if n := open.Load(); n > 1 { // the one that was not bound is kept for others
			return fmt.Errorf("%d connections to the servers are open", n)
		}
		return nil
	})
}
