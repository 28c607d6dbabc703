package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// zoned are the zones of one kind: "name requests codes discarded", with "+n" requests in progress.
func zoned(zones iter.Seq2[string, *web.StatusZone]) string {
	var all []string
	for name, z := range zones {
		f := z.Figures()
		text := fmt.Sprintf("%s %d", name, f.Requests)
		var codes []string
		for code, n := range f.Responses.Codes {
			codes = append(codes, fmt.Sprintf("%s:%d", code, n))
		}
		slices.Sort(codes)
		text = strings.TrimSuffix(text+" "+strings.Join(codes, " "), " ")
		if f.Discarded > 0 {
			text += fmt.Sprintf(" discarded:%d", f.Discarded)
		}
		if n := z.Processing(); n > 0 {
			text += fmt.Sprintf(" +%d", n)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// expectZones waits for what the zones count: a request is counted after its client got the response.
func expectZones(t *testing.T, s *webtest.Server, servers, locations string) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		if got := zoned(web.ServerZones(s.Plan)); got != servers {
			return fmt.Errorf("server zones\n got %s\nwant %s", got, servers)
		}
		if got := zoned(web.LocationZones(s.Plan)); got != locations {
			return fmt.Errorf("location zones\n got %s\nwant %s", got, locations)
		}
		return nil
	})
}

const get = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

func TestStatusZones(t *testing.T) {
	for _, c := range []struct {
		name, text         string
		requests           []string
		servers, locations string
	}{
		{"a server and a location", `server { status_zone s; say ok; location /l { status_zone l; say in; } }`,
			[]string{"GET /" + get, "GET /l" + get, "HEAD /l/x" + get}, "s 3 200:3", "l 2 200:2"},
		{"unused zones are there", `server { status_zone s; location / { status_zone l; } }`, nil, "s 0", "l 0"},
		{"none", `server { say ok; }`, []string{"GET /" + get}, "", ""},
		{"one name for a server and a location", `server { status_zone x; say ok; location /l { status_zone x; say in; } }`,
			[]string{"GET /" + get, "GET /l" + get}, "x 2 200:2", "x 1 200:1"},
		{"shared", `server { server_name a; status_zone s; say a; } server { server_name b; status_zone s; location / { say b; } }
			server { server_name c; location / { status_zone l; say c; } location /x { status_zone l; say x; } }`,
			[]string{"GET /" + get, "GET / HTTP/1.0\r\nHost: b\r\n\r\n", "GET / HTTP/1.0\r\nHost: c\r\n\r\n", "GET /x HTTP/1.0\r\nHost: c\r\n\r\n"},
			"s 2 200:2", "l 2 200:2"},
		{"the virtual server of the request", `server { status_zone first; say a; } server { server_name b; status_zone b; say b; }`,
			[]string{"GET /" + get, "GET / HTTP/1.0\r\nHost: b\r\n\r\n", "GET / HTTP/1.0\r\nHost: unknown\r\n\r\n"}, "b 1 200:1, first 2 200:2", ""},
		{"nested locations", `server {
			location /l { status_zone l; say 1; location /l/in { say 2; } location /l/own { status_zone own; say 3; }
				location /l/off { status_zone off; say 4; location /l/off/deep { say 5; } } } }`,
			[]string{"GET /l" + get, "GET /l/in" + get, "GET /l/own" + get, "GET /l/off" + get, "GET /l/off/deep" + get}, "", "l 2 200:2, own 1 200:1"},
		{"a server without a zone by its word", `server { status_zone off; say ok; }`, []string{"GET /" + get}, "", ""},
		{"limit_except", `server { location / { status_zone l; say ok; limit_except GET { refuse 403; } } }`,
			[]string{"GET /" + get, "POST /" + get}, "", "l 2 200:1 403:1"},
		{"error pages count where they are", `server { status_zone s; error_page 404 /page; error_page 403 @named;
			location / { status_zone from; refuse 404; location /denied { refuse 403; } location /plain { refuse 500; } }
			location /page { status_zone page; say page; } location @named { status_zone named; say named; } }`,
			[]string{"GET /" + get, "GET /denied" + get, "GET /plain" + get},
			"s 3 403:1 404:1 500:1", "from 1 500:1, named 1 403:1, page 1 404:1"},
		{"internal redirects", `server { status_zone s; location /from { status_zone from; go_to /to; } location /to { status_zone to; say to; } }`,
			[]string{"GET /from" + get}, "s 1 200:1", "from 0, to 1 200:1"},
		{"no content", `server { status_zone s; location /l { status_zone l; } }`, []string{"GET /l" + get}, "s 1 404:1", "l 1 404:1"},
		{"bad heads belong to the default server", `server { status_zone first; say ok; location / { status_zone l; say ok; } }
			server { server_name b; status_zone b; say b; }`,
			[]string{"nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: b\r\n\r\n",
				"GET /" + strings.Repeat("x", 9000) + get},
			"b 0, first 5 400:3 405:1 414:1", "l 0"},
		{"large bodies", `server { status_zone s; client_max_body_size 1; location / { status_zone l; read; } }`,
			[]string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"}, "s 1 413:1", "l 1 413:1"},
		{"no response", `server { status_zone s; location /444 { status_zone l; refuse 444; } location /408 { status_zone l; refuse 408; } }`,
			[]string{"GET /444" + get, "GET /408" + get}, "s 2 discarded:2", "l 2 discarded:2"},
		{"a handler that forgets to respond", `server { status_zone s; unanswered; }`, []string{"GET /" + get}, "s 1 500:1", ""},
		{"several requests of a connection", `server { status_zone s; say ok; }`,
			[]string{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /" + get}, "s 3 200:3", ""},
		{"names of variables", `server { status_zone $host; say ok; location /l { status_zone l-$arg_z; say in; location /l/in { say in; } } }`,
			[]string{"GET /" + get, "GET /l?z=1" + get, "GET /l/in?z=2" + get, "GET /l?z=1 HTTP/1.0\r\nHost: b\r\n\r\n"},
			"a 3 200:3, b 1 200:1", "l-1 2 200:2, l-2 1 200:1"},
		{"values that name no zone", `server { status_zone $arg_z; say ok; }`, []string{"GET /" + get, "GET /?z=off" + get, "GET /?z=1" + get}, "1 1 200:1", ""},
		{"values that cannot be shown", `server { status_zone $arg_z; say ok; }`,
			[]string{"GET /?z=\xff" + get, "GET /?z=" + strings.Repeat("x", 257) + get, "GET /?z=" + strings.Repeat("x", 256) + get},
			"(other) 2 200:2, " + strings.Repeat("x", 256) + " 1 200:1", ""},
		{"a value that is the name of a zone", `server { status_zone s; say ok; } server { server_name b; status_zone $arg_z; say b; }`,
			[]string{"GET /" + get, "GET /?z=s HTTP/1.0\r\nHost: b\r\n\r\n"}, "s 2 200:2", ""},
		{"the value at the end", `server { status_zone $status; location /l { status_zone $status; refuse 404; } }`,
			[]string{"GET /l" + get}, "404 1 404:1", "404 1 404:1"},
		{"HTTP/0.9", `server { status_zone s; say ok; }`, []string{"GET /\r\n"}, "s 1 200:1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.text)
			for _, request := range c.requests {
				s.Send(request)
			}
			expectZones(t, s, c.servers, c.locations)
		})
	}
}

// The default server counts TRACE from start to end, even if the API of another server formats the response.
func TestStatusZonesOfARefusal(t *testing.T) {
	refuse := func(r *web.Request) web.Result { return r.Respond(405, "text/plain", []byte("no")) }
	m := &web.Module{Module: conf.Module{Name: "refusal", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			b.Current.Refuse = refuse
			return refuse, nil
		}}}}
	s := webtest.Start(t, []*web.Module{&core.Module, m}, `server { status_zone first; }
		server { server_name b; status_zone b; location / { status_zone l; } }`)
	if got := s.Send("TRACE / HTTP/1.1\r\nHost: b\r\n\r\n"); body(got) != "no" {
		t.Errorf("got %q", got)
	}
	expectZones(t, s, "b 0, first 1 405:1", "l 1 405:1")
}

func TestStatusZoneNames(t *testing.T) {
	for text, want := range map[string]string{
		`server { status_zone ""; }`:                                    `status zone without a name in /test.conf:1`,
		`server { location / { status_zone ""; } }`:                     `status zone without a name in /test.conf:1`,
		`server { status_zone $nothing; }`:                              `unknown "nothing" variable in /test.conf:1`,
		`server { location / { status_zone a${uri; } }`:                 `the closing bracket in "uri" variable is missing in /test.conf:1`,
		`server { status_zone a; status_zone b; }`:                      `"status_zone" directive is duplicate in /test.conf:1`,
		`server { status_zone; }`:                                       `invalid number of arguments in "status_zone" directive in /test.conf:1`,
		`status_zone a; server { }`:                                     `"status_zone" directive is not allowed here in /test.conf:1`,
		`server { location / { limit_except GET { status_zone a; } } }`: `"status_zone" directive is not allowed here in /test.conf:1`,
	} {
		if _, err := webtest.Load(t, modules(), text); err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// figuresOf are the figures of a zone once it has counted so many requests, which all have ended.
func figuresOf(t *testing.T, zones iter.Seq2[string, *web.StatusZone], name string, requests uint64) (f web.ZoneFigures) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		for other, z := range zones {
			if other == name {
				f = z.Figures()
			}
		}
		if f.Responses.Total+f.Discarded != requests {
			return fmt.Errorf("%+v, want %d requests", f, requests)
		}
		return nil
	})
	return f
}

func TestStatusZoneBytes(t *testing.T) {
	s := start(t, `server { status_zone s; location / { status_zone l; read; } }`)
	request := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
	response := s.Send(request)
	bad := s.Send("nonsense\r\n\r\n")
	f := figuresOf(t, web.LocationZones(s.Plan), "l", 1)
	if f.Received != uint64(len(request)) || f.Sent != uint64(len(response)) {
		t.Errorf("received %d, sent %d; want %d and %d", f.Received, f.Sent, len(request), len(response))
	}
	f = figuresOf(t, web.ServerZones(s.Plan), "s", 2) // like $request_length, it leaves out a line that could not be read
	if f.Sent != uint64(len(response)+len(bad)) || f.Received != uint64(len(request)) {
		t.Errorf("with a bad head: received %d, sent %d; want %d and %d", f.Received, f.Sent, len(request), len(response)+len(bad))
	}
}

func TestStatusZonesOverHTTP2(t *testing.T) {
	left := make(chan struct{}, 1)
	s := webtest.Start(t, []*web.Module{&core.Module, probe(left)}, `http2 on; server { listen 80; status_zone s; say ok;
		location /l { status_zone l; refuse 403; } location /444 { refuse 444; } location /slow { status_zone l; delay_ms 60000; } }`)
	client := http2Client(t, s, false)
	ask(t, client, "GET", "http://a/", "")
	ask(t, client, "POST", "http://a/l", "body")
	if response, err := client.Get("http://a/444"); err == nil {
		response.Body.Close()
		t.Error("444 was answered")
	}
	expectZones(t, s, "s 3 200:1 403:1 discarded:1", "l 1 403:1")
	if f := figuresOf(t, web.LocationZones(s.Plan), "l", 1); f.Received < 4 || f.Sent == 0 {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://a/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	var abandoned sync.WaitGroup
	abandoned.Go(func() {
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			t.Error("a slow response was not waited for")
		}
	})
	expectZones(t, s, "s 4 200:1 403:1 discarded:1 +1", "l 1 403:1")
	cancel()
	abandoned.Wait()
	<-left
	expectZones(t, s, "s 4 200:1 403:1 discarded:2", "l 2 403:1 discarded:1")
}

// Requests in progress are counted at once, and a reset leaves them.
func TestStatusZoneProcessing(t *testing.T) {
	holding := make(chan struct{})
	s := webtest.Start(t, []*web.Module{&core.Module, probe(holding)}, `server { status_zone s; location / { status_zone l; hold; } }`)
	client := s.Client()
	client.Write("GET /" + request11 + "\r\n")
	<-holding
	expectZones(t, s, "s 1 +1", "l 0")
	for _, z := range web.ServerZones(s.Plan) {
		z.Reset()
	}
	expectZones(t, s, "s 0 +1", "l 0")
	holding <- struct{}{}
	client.Read("GET")
	expectZones(t, s, "s 0 200:1", "l 1 200:1")
	for _, z := range web.LocationZones(s.Plan) {
		z.Reset()
	}
	expectZones(t, s, "s 0 200:1", "l 0")
}

// A request is over with its response: the rest of its body, which may never come, is not waited for.
func TestStatusZonesDoNotWaitForAnUnreadBody(t *testing.T) {
	s := start(t, `client_body_timeout 1h; lingering_time 1h; lingering_timeout 1h; server { status_zone s; say ok; }`)
	client := s.LoopbackClient()
	client.Do("POST /" + request11 + "Content-Length: 5\r\n\r\n")
	expectZones(t, s, "s 1 200:1", "")
}

func TestStatusZonesWithoutAClient(t *testing.T) {
	left := make(chan struct{}, 1)
	text := `server { status_zone s; location / { status_zone l; delay_ms 60000; } location /long { status_zone l; say "` + strings.Repeat("x", 2000) + `"; } }`
	s := webtest.Start(t, []*web.Module{&core.Module, probe(left)}, text)
	half := s.LoopbackClient()
	io.WriteString(half.Conn, "GET / HTTP/1.1\r\nHo")
	half.Conn.Close()
	expectZones(t, s, "s 1 discarded:1", "l 0")
	gone := s.Dial()
	io.WriteString(gone, "GET /"+request11+"\r\n")
	gone.Close()
	<-left
	expectZones(t, s, "s 2 discarded:2", "l 1 discarded:1")
	amid := s.Dial()
	io.WriteString(amid, "GET /long"+request11+"\r\n")
	if _, err := io.ReadFull(amid, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	amid.Close() // it had a response, though not all of it
	expectZones(t, s, "s 3 200:1 discarded:2", "l 2 200:1 discarded:1")
	s.Dial().Close() // no request
	s.Site.Retire()
	<-s.Site.Drained()
	expectZones(t, s, "s 3 200:1 discarded:2", "l 2 200:1 discarded:1")
}

func TestStatusZonesAfterAPanic(t *testing.T) {
	m := &web.Module{Module: conf.Module{Name: "mistake", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(*web.Request) web.Result { panic("a mistake") }, nil
		}}}}
	s := webtest.Start(t, []*web.Module{&core.Module, m}, "server { status_zone s; }")
	s.Get("/")
	expectZones(t, s, "s 1 discarded:1", "")
}

// Figures continue over a reload, with those of requests that the old configuration still serves; zones that are gone
// are forgotten.
func TestStatusZonesOverAReload(t *testing.T) {
	before := start(t, `server { status_zone s; say ok; location /l { status_zone l; say ok; } location /gone { status_zone gone; say ok; } }`)
	for _, path := range []string{"/l", "/gone"} {
		before.Get(path)
	}
	expectZones(t, before, "s 2 200:2", "gone 1 200:1, l 1 200:1")
	after := start(t, `server { status_zone s; say ok; location /other { status_zone l; say ok; } location /n { status_zone new; } }`,
		webtest.After(before))
	after.Get("/other")
	before.Get("/")
	expectZones(t, after, "s 4 200:4", "l 2 200:2, new 0")
}

// Sums are exact when many connections count at the same time, and somebody reads meanwhile.
func TestStatusZonesOfManyAtOnce(t *testing.T) {
	s := start(t, `server { status_zone s; location / { status_zone l; say ok; } location /no { status_zone l; refuse 404; } }`)
	const clients, each = 8, 40
	stop := make(chan struct{})
	var reader, all sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				zoned(web.ServerZones(s.Plan))
			}
		}
	})
	failures := make(chan error, clients)
	for range clients {
		client := s.Client()
		all.Go(func() {
			for i := range each {
				path := []string{"/", "/no"}[i%2]
				if r := client.Do("GET " + path + request11 + "\r\n"); r.StatusCode != 200 && r.StatusCode != 404 {
					failures <- errors.New(r.Status)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	reader.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	want := fmt.Sprintf("%d 200:%d 404:%d", clients*each, clients*each/2, clients*each/2)
	expectZones(t, s, "s "+want, "l "+want)
}

// TestStatusZonesOfClients: clients cannot make zones without end.
func TestStatusZonesOfClients(t *testing.T) {
	s := start(t, `server { location / { status_zone $arg_z; say ok; } }`)
	c := s.LoopbackClient()
	const names, beyond = 256, 10
	for i := range names + beyond {
		c.Do(fmt.Sprintf("GET /?z=n%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
	}
	c.Do("GET /?z=n0" + get)
	testkit.Eventually(t, webtest.Patience, func() error {
		all := map[string]uint64{}
		for name, z := range web.LocationZones(s.Plan) {
			all[name] = z.Figures().Requests
		}
		if len(all) != names+1 || all["n0"] != 2 || all["n255"] != 1 || all["(other)"] != beyond {
			return fmt.Errorf("%d zones, %d %d %d", len(all), all["n0"], all["n255"], all["(other)"])
		}
		return nil
	})
	told := 0
	for _, line := range s.Log.Lines() {
		if strings.Contains(line, `requests with further values are counted in zone "(other)"`) {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times:\n%s", told, strings.Join(s.Log.Lines(), "\n"))
	}
}

// TestStatusZonesOfValuesOverAReload: what values have named goes on, also as the name of a zone without variables.
func TestStatusZonesOfValuesOverAReload(t *testing.T) {
	before := start(t, `server { status_zone $arg_z; say ok; }`)
	for _, target := range []string{"/?z=a", "/?z=a", "/?z=b"} {
		before.Get(target)
	}
	expectZones(t, before, "a 2 200:2, b 1 200:1", "")
	after := start(t, `server { status_zone $arg_z; say ok; } server { server_name b; status_zone b; say ok; }`, webtest.After(before))
	expectZones(t, after, "a 2 200:2, b 1 200:1", "")
	after.Get("/?z=a")
	after.Get("/?z=b")
	before.Get("/?z=c")
	expectZones(t, after, "a 3 200:3, b 2 200:2, c 1 200:1", "")
	last := start(t, `server { status_zone b; say ok; }`, webtest.After(after))
	last.Get("/")
	expectZones(t, last, "b 3 200:3", "")
}
