package modules_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"starling/lib/resolver/resolvertest"
	"starling/lib/testkit"
	"starling/upstream"
	"starling/web/webtest"
)

// TestResolvedServersSurviveAReload: what the DNS had said serves the next configuration while the DNS is silent.
func TestResolvedServersSurviveAReload(t *testing.T) {
	dns := resolvertest.Start(t)
	f := fleet{}
	f.backend(t, "a", says("a"))
	_, port, _ := net.SplitHostPort(f["a"].addr)
	dns.Host("app.example.com", 0, "127.0.0.1")
	conf := `resolver ` + dns.Addr + `; upstream u { zone u 64k; server app.example.com:` + port + ` resolve; }
		server { location / { proxy_pass http://u; } }`
	before := f.start(t, conf)
	c := before.Client()
	testkit.Eventually(t, webtest.Patience, func() error {
		if r := get(c); r.StatusCode != 200 {
			return fmt.Errorf("%d: the DNS has not answered yet", r.StatusCode)
		}
		return nil
	})
	dns.Silence("app.example.com")
	after := f.start(t, conf, webtest.After(before))
	if r := get(after.Client()); r.Text != "a" {
		t.Errorf("after the reload: %d %q", r.StatusCode, r.Text)
	}
}

// TestMethodsDisplaceEachOther: the last one counts, and one below `sticky` puts that out of work; both are warned of,
// as in nginx.
func TestMethodsDisplaceEachOther(t *testing.T) {
	const warning = `load balancing method redefined in /test.conf:1`
	for _, c := range []struct {
		block string
		warns bool
		want  string
	}{
		{`hash $host; least_conn; server {a}; server {b};`, true, "abab"},
		{`least_conn; hash $host; server {a}; server {b};`, true, "aaaa"},
		{`least_conn; least_conn; server {a}; server {b};`, true, "abab"},
		{`hash $remote_addr; hash $http_x_none$request_id; server {a} down; server {b};`, true, "bbbb"},
		{`random; random two; server {a} down; server {b};`, true, "bbbb"},
		{`server {a} route=a; server {b} route=b; sticky route $http_x_route; hash $host;`, true, "aaaa"},
		{`hash $host; server {a} route=a; server {b} route=b; sticky route $http_x_route;`, false, "bbbb"},
	} {
		f := fleet{}
		f.backend(t, "a", says("a"))
		f.backend(t, "b", says("b"))
		s := f.start(t, `upstream u { `+c.block+` } server { location / { proxy_pass http://u; } }`)
		warned := slices.ContainsFunc(s.Log.Lines(), func(line string) bool { return strings.Contains(line, warning) })
		if got := run(s.Client(), 4, "X-Route: b"); got != c.want || warned != c.warns {
			t.Errorf("%s\nasked %s, want %s; warned: %v", c.block, got, c.want, warned)
		}
	}
}

// TestAChangeThroughThePreviousConfiguration: a request of it, whose connection was kept, changes the servers of the
// running one before it is answered.
func TestAChangeThroughThePreviousConfiguration(t *testing.T) {
	first := startShared(t, sharedServers)
	s := startShared(t, sharedServers, webtest.After(first))
	for i := range 200 {
		server := fmt.Sprintf("127.0.1.%d:1", i)
		if got := askAPI(first, fmt.Sprintf(`POST %s {"server":%q}`, stateServers, server)); !strings.HasPrefix(got, "201") {
			t.Fatal(got)
		}
		if got := shownServers(t, s); !strings.Contains(got, server+" changed") {
			t.Fatalf("after %d changes, %s is not among %s", i, server, got)
		}
		if i%8 == 7 { // the zone has no room for all
			if got := askAPI(first, "DELETE /api/9/http/upstreams/u/changes"); !strings.HasPrefix(got, "204") {
				t.Fatal(got)
			}
			if got, want := shownServers(t, s), "127.0.0.1:1, 127.0.0.2:1"; got != want {
				t.Fatalf("when all is reverted: %s, want %s", got, want)
			}
		}
	}
}

// TestIDsOfAddedServersOutliveAReload: a client that has asked for them before it changes the server that it means. An id
// of a server that was removed is not given to another one.
func TestIDsOfAddedServersOutliveAReload(t *testing.T) {
	first := startShared(t, sharedServers)
	call := func(s *webtest.Server, want, text string) {
		t.Helper()
		if got := askAPI(s, text); !strings.HasPrefix(got, want) {
			t.Fatalf("%s: %s, want %s", text, got, want)
		}
	}
	ids := func(s *webtest.Server) string {
		var list []upstream.Config
		if err := json.Unmarshal([]byte(strings.TrimPrefix(askAPI(s, "GET "+stateServers), "200 ")), &list); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, c := range list {
			lines = append(lines, fmt.Sprintf("%d=%s", c.ID, c.Server))
		}
		slices.Sort(lines)
		return strings.Join(lines, " ")
	}
	for _, server := range []string{"127.0.0.3:1", "127.0.0.4:1", "127.0.0.5:1"} {
		call(first, "201", fmt.Sprintf(`POST %s {"server":%q}`, stateServers, server))
	}
	call(first, "200", "PATCH "+stateServers+`/2 {"weight":2}`) // now it is the one that was changed last
	call(first, "200", "DELETE "+stateServers+"/3")
	const kept = "0=127.0.0.1:1 1=127.0.0.2:1 2=127.0.0.3:1 4=127.0.0.5:1"
	if got := ids(first); got != kept {
		t.Fatal(got)
	}
	s := startShared(t, "server 127.0.0.1:1; server 127.0.0.2:1; zone u 128k sync;", webtest.After(first))
	if got := ids(s); got != kept {
		t.Errorf("after a reload: %s, want %s", got, kept)
	}
	call(s, "201", "POST "+stateServers+` {"server":"127.0.0.4:1"}`)
	if got, want := ids(s), kept+" 5=127.0.0.4:1"; got != want {
		t.Errorf("after another addition: %s, want %s", got, want)
	}
	more := startShared(t, "zone u 64k sync; server 127.0.0.1:1; server 127.0.0.2:1; server 127.0.0.9:1;", webtest.After(s))
	if got, want := ids(more), "0=127.0.0.1:1 1=127.0.0.2:1 2=127.0.0.9:1 4=127.0.0.5:1 5=127.0.0.4:1 6=127.0.0.3:1"; got != want {
		t.Errorf("with another server in the configuration: %s, want %s", got, want)
	}
}
