package nodes

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"starling/e2e/harness"
)

// TestASessionIsFollowedAcrossNodes: what one node learned steers the requests of all.
func TestASessionIsFollowedAcrossNodes(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	for i := range 4 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.ServeNames("backends.example.com", 101, 102, 103, 104)
	cl.Start(strings.Replace(harness.Sticky, "SERVERS", "server backends.example.com:9100 resolve;", 1))
	for i := range 12 {
		session := fmt.Sprintf("s%d", i)
		first := cl.Nodes[i%3].Must("GET", "/?session="+session, "")
		if first.Status != 200 || !strings.HasPrefix(first.Body, "backend") {
			t.Fatalf("%d %q", first.Status, first.Body)
		}
		cl.Acknowledged()
		for range 3 {
			for _, n := range cl.Nodes {
				n.Wants(200, first.Body, "GET", "/", "", "Cookie", "session="+session)
			}
		}
	}
}

// TestASessionNamesItsServerNotItsPosition: nodes list their servers in another order, one lacks a server.
func TestASessionNamesItsServerNotItsPosition(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	a, b, c := cl.Backend(101, "a"), cl.Backend(102, "b"), cl.Backend(103, "c")
	cl.ServeNames("backends.example.com", 101)
	for i, order := range [][]string{{a, b, c}, {c, a, b}, {b, a}} {
		var servers string
		for _, addr := range order {
			servers += "server " + addr + ";\n"
		}
		cl.Nodes[i].Configure(strings.Replace(harness.Sticky, "SERVERS", servers, 1))
		cl.Nodes[i].Start()
	}
	cl.Joined(3)
	for i := range 6 {
		session := fmt.Sprintf("s%d", i)
		first := cl.Nodes[0].Must("GET", "/?session="+session, "")
		cl.Acknowledged()
		cl.Nodes[1].Wants(200, first.Body, "GET", "/", "", "Cookie", "session="+session)
		third := cl.Nodes[2].Must("GET", "/", "", "Cookie", "session="+session)
		switch {
		case third.Status != 200:
			t.Errorf("a session of a server unknown here: %d", third.Status)
		case first.Body != "c" && third.Body != first.Body:
			t.Errorf("session %s is with %s, the third node sent it to %s", session, first.Body, third.Body)
		}
		cl.Acknowledged()
	}
}

// TestASessionIsNotTakenByARequestThatKnewNothingOfIt: the session reaches the node while the request is on its way to
// another server; it must stay where it is.
func TestASessionIsNotTakenByARequestThatKnewNothingOfIt(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	quick := cl.Backend(102, "quick")
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
		cl.Nodes[i].Configure(strings.Replace(harness.Sticky, "SERVERS", servers, 1))
		cl.Nodes[i].Start()
	}
	cl.Joined(2)
	held := make(chan harness.Reply, 1)
	go func() {
		r, err := cl.Nodes[0].Do("GET", "/hold", "", "Cookie", "session=x")
		if err != nil {
			t.Error(err)
		}
		held <- r
	}()
	<-proxied
	cl.Nodes[1].Wants(200, "quick", "GET", "/?session=x", "")
	cl.Acknowledged()
	close(release)
	if r := <-held; r.Body != "slow" {
		t.Errorf("the request that was held is answered %d %q", r.Status, r.Body)
	}
	for _, n := range cl.Nodes {
		n.Wants(200, "quick", "GET", "/", "", "Cookie", "session=x")
	}
}
