package upstream_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"starling/admin"
	"starling/modules/stream/core"
	"starling/modules/stream/upstream"
	"starling/stream"
	"starling/stream/streamtest"
	servers "starling/upstream"
	"starling/upstream/groups"
)

const listening = " server { listen 1; say x; } "

func TestProblems(t *testing.T) {
	for _, c := range []struct{ block, want string }{
		{"upstream u { server 127.0.0.1; }", `no port in upstream "127.0.0.1" in /test.conf:1`},
		{"upstream u { server 127.0.0.1:1 route=a; }", `invalid parameter "route=a" in /test.conf:1`},
		{"upstream u { server 127.0.0.1:1 weight=0; }", `invalid parameter "weight=0" in /test.conf:1`},
		{"upstream u {}", `no servers are inside upstream in /test.conf:1`},
		{"upstream u { zone u 64k; }", ""},
		{"upstream u { server 127.0.0.1:1 backup; }", `no servers in upstream "u" in /test.conf:1`},
		{"upstream u { server 127.0.0.1:1; } upstream u { server 127.0.0.1:1; }", `duplicate upstream "u" in /test.conf:1`},
		{"upstream u { hash $remote_addr; server 127.0.0.1:1 backup; }", `balancing method does not support parameter "backup" in /test.conf:1`},
		{"upstream u { server a.example:1 resolve; }", `resolving names at run time requires upstream "u" in /test.conf:1 to be in shared memory in /test.conf:1`},
		{"upstream u { zone u 64k; server a.example:1 resolve; }", `no resolver defined to resolve names at run time in upstream "u" in /test.conf:1`},
		{"upstream u { zone u 64k; server a.example:1 service=_x._tcp resolve; }", `service upstream "a.example:1" may not have port in /test.conf:1`},
	} {
		text := "stream { " + c.block + listening + "}"
		if got := streamtest.Problem(t, text, &core.Module, &upstream.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, c.want)
		}
	}
}

func TestBalancers(t *testing.T) {
	s := streamtest.Start(t, "stream { upstream u { least_conn; server 127.0.0.1:1; server 127.0.0.1:2; } upstream k { hash $remote_addr consistent; "+
		"server 127.0.0.1:1; server 127.0.0.1:2; }"+listening+"}", nil, &core.Module, &upstream.Module, streamtest.Say())
	all := groups.Of[*stream.Session](s.Plan).All()
	if len(all) != 2 || all[0].Key != nil || all[1].Key == nil {
		t.Fatalf("%d groups", len(all))
	}
	var attempts [4]servers.Attempt
	picked := map[string]int{}
	for i := range attempts {
		attempts[i].Client = netip.MustParseAddr("192.0.2.1")
		all[0].Begin(&attempts[i])
		one, err := attempts[i].Pick(s.Plan.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		picked[one.Addr.Text]++
	}
	if picked["127.0.0.1:1"] != 2 || picked["127.0.0.1:2"] != 2 {
		t.Errorf("least_conn picked %v", picked)
	}
}

func TestServersThroughTheAPI(t *testing.T) {
	s := streamtest.Start(t, "stream { upstream u { zone u 64k; server 127.0.0.1:1; } upstream static { server 127.0.0.1:1; }"+listening+"}", nil,
		&core.Module, &upstream.Module, streamtest.Say())
	var handle func(*admin.Call) admin.Answer
	for _, r := range s.Site.Resources() {
		if r.Path == "stream/upstreams" {
			handle = r.Handle
		}
	}
	for _, c := range []struct {
		method string
		tail   []string
		body   string
		status int
		code   string
	}{
		{"POST", []string{"u", "servers"}, `{"server":"127.0.0.1:2","max_conns":3}`, 201, ""},
		{"POST", []string{"u", "servers"}, `{"server":"127.0.0.1:2"}`, 409, "EntryExists"},
		{"POST", []string{"u", "servers"}, `{"server":"127.0.0.1"}`, 400, "UpstreamBadAddress"},
		{"POST", []string{"u", "servers"}, `{"server":"127.0.0.1:3","route":"a"}`, 400, "UpstreamConfFormatError"},
		{"PATCH", []string{"u", "servers", "1"}, `{"down":true}`, 0, ""},
		{"DELETE", []string{"u", "servers", "0"}, "", 0, ""},
		{"GET", []string{"u", "servers", "0"}, "", 404, "UpstreamServerNotFound"},
		{"GET", []string{"static"}, "", 400, "UpstreamStatic"},
		{"DELETE", []string{"u"}, "", 204, ""},
	} {
		a := handle(&admin.Call{Method: c.method, Tail: c.tail, Body: []byte(c.body)})
		status, code := a.Status, ""
		if a.Err != nil {
			status, code = a.Err.Status, a.Err.Code
		}
		if status != c.status || code != c.code {
			t.Errorf("%s %v %s: %d %s, want %d %s", c.method, c.tail, c.body, status, code, c.status, c.code)
		}
	}
	report := handle(&admin.Call{Method: "GET", Tail: []string{"u"}}).Body.(servers.StreamReport)
	if len(report.Peers) != 1 || report.Peers[0].State != "down" || report.Peers[0].MaxConns != 3 {
		t.Errorf("%+v", report)
	}
}

// TestStateFile: the servers of stream survive a restart too, and lines of http's parameters are errors.
func TestStateFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	start := func() func(*admin.Call) admin.Answer {
		s := streamtest.Start(t, "stream { upstream u { zone u 64k; state "+file+"; }"+listening+"}", nil, &core.Module, &upstream.Module, streamtest.Say())
		if err := s.Plan.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Site.Resources() {
			if r.Path == "stream/upstreams" {
				return r.Handle
			}
		}
		return nil
	}
	handle := start()
	for _, body := range []string{`{"server":"127.0.0.1:1","weight":2}`, `{"server":"unix:/a b","backup":true}`} {
		if a := handle(&admin.Call{Method: "POST", Tail: []string{"u", "servers"}, Body: []byte(body)}); a.Status != 201 {
			t.Fatalf("%s: %+v", body, a.Err)
		}
	}
	text, err := os.ReadFile(file)
	if want := "server 127.0.0.1:1 weight=2;\nserver \"unix:/a b\" backup;\n"; err != nil || string(text) != want {
		t.Errorf("the file has %q (%v), want %q", text, err, want)
	}
	list := start()(&admin.Call{Method: "GET", Tail: []string{"u", "servers"}}).Body.([]servers.Config)
	if len(list) != 2 || list[0].Server != "127.0.0.1:1" || list[0].Weight != 2 || list[1].Server != "unix:/a b" || !list[1].Backup {
		t.Errorf("after a restart: %+v", list)
	}
	if err := os.WriteFile(file, []byte("server 127.0.0.1:1 route=a;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := streamtest.Problem(t, "stream { upstream u { zone u 64k; state "+file+"; }"+listening+"}", &core.Module, &upstream.Module, streamtest.Say())
	if want := `invalid parameter "route=a" in ` + file + `:1`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
