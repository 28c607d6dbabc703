package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// backend serves on an address and says its name; it sets the session cookie that is asked for with ?session=.
func (c *cluster) backend(host int, name string) string {
	c.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s.%d:9100", c.Net, host))
	if err != nil {
		c.t.Fatal(err)
	}
	srv := &http.Server{Handler: sessionHandler(name)}
	go func() { _ = srv.Serve(l) }() // ends with Close below
	c.t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// sessionHandler says a name and sets the cookie that is asked for.
func sessionHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := r.URL.Query().Get("session"); s != "" {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: s})
		}
		fmt.Fprint(w, name)
	})
}

// sticky is the seed's sticky learn block, completed with a resolver and addresses.
const sticky = `http {
	resolver {{.Net}}.53:5353 valid=1s;
	upstream my_backend {
		zone my_backend 64k;
		SERVERS
		sticky learn zone=sessions:1m
			create=$upstream_cookie_session
			lookup=$cookie_session
			sync;
	}
	server {
		listen {{.IP}}:8080;
		location / { proxy_pass http://my_backend; }
		location /api { api write=on; }
	}
}
` + members

// TestASessionIsFollowedAcrossNodes: what one node learned steers the requests of all.
func TestASessionIsFollowedAcrossNodes(t *testing.T) {
	cl := newCluster(t, 3)
	for i := range 4 {
		cl.backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.serveNames("backends.example.com", 101, 102, 103, 104)
	cl.start(strings.Replace(sticky, "SERVERS", "server backends.example.com:9100 resolve;", 1))
	for i := range 12 {
		session := fmt.Sprintf("s%d", i)
		first := cl.Nodes[i%3].must("GET", "/?session="+session, "")
		if first.status != 200 || !strings.HasPrefix(first.body, "backend") {
			t.Fatalf("%d %q", first.status, first.body)
		}
		cl.settled()
		for range 3 {
			for _, n := range cl.Nodes {
				n.wants(200, first.body, "GET", "/", "", "Cookie", "session="+session)
			}
		}
	}
}

// TestASessionNamesItsServerNotItsPosition: nodes list their servers in another order, one lacks a server.
func TestASessionNamesItsServerNotItsPosition(t *testing.T) {
	cl := newCluster(t, 3)
	a, b, c := cl.backend(101, "a"), cl.backend(102, "b"), cl.backend(103, "c")
	cl.serveNames("backends.example.com", 101)
	for i, order := range [][]string{{a, b, c}, {c, a, b}, {b, a}} {
		var servers string
		for _, addr := range order {
			servers += "server " + addr + ";\n"
		}
		cl.Nodes[i].configure(strings.Replace(sticky, "SERVERS", servers, 1))
		cl.Nodes[i].start()
	}
	cl.joined(3)
	for i := range 6 {
		session := fmt.Sprintf("s%d", i)
		first := cl.Nodes[0].must("GET", "/?session="+session, "")
		cl.settled()
		cl.Nodes[1].wants(200, first.body, "GET", "/", "", "Cookie", "session="+session)
		third := cl.Nodes[2].must("GET", "/", "", "Cookie", "session="+session)
		switch {
		case third.status != 200:
			t.Errorf("a session of a server unknown here: %d", third.status)
		case first.body != "c" && third.body != first.body:
			t.Errorf("session %s is with %s, the third node sent it to %s", session, first.body, third.body)
		}
		cl.settled()
	}
}

// TestASessionIsNotTakenByARequestThatKnewNothingOfIt: the session reaches the node while the request is on its way to
// another server; it must stay where it is.
func TestASessionIsNotTakenByARequestThatKnewNothingOfIt(t *testing.T) {
	cl := newCluster(t, 2)
	quick := cl.backend(102, "quick")
	proxied, release := make(chan struct{}), make(chan struct{})
	l, err := net.Listen("tcp", cl.Net+".101:9100")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			close(proxied)
			<-release
		}
		fmt.Fprint(w, "slow")
	})}
	go func() { _ = srv.Serve(l) }() // ends with Close below
	t.Cleanup(func() { _ = srv.Close() })
	slow := l.Addr().String()

	for i, only := range []string{slow, quick} { // each node prefers another server
		servers := "server " + slow + ";\nserver " + quick + ";\n"
		servers = strings.Replace(servers, only+";", only+" weight=100;", 1)
		cl.Nodes[i].configure(strings.Replace(sticky, "SERVERS", servers, 1))
		cl.Nodes[i].start()
	}
	cl.joined(2)
	held := make(chan reply, 1)
	go func() {
		r, err := cl.Nodes[0].do("GET", "/hold", "", "Cookie", "session=x")
		if err != nil {
			t.Error(err)
		}
		held <- r
	}()
	<-proxied
	cl.Nodes[1].wants(200, "quick", "GET", "/?session=x", "")
	cl.settled()
	close(release)
	if r := <-held; r.body != "slow" {
		t.Errorf("the request that was held is answered %d %q", r.status, r.body)
	}
	for _, n := range cl.Nodes {
		n.wants(200, "quick", "GET", "/", "", "Cookie", "session=x")
	}
}
