package limitconn_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"starling/admin"
	"starling/conf"
	"starling/modules/web/core"
	"starling/modules/web/limitconn"
	"starling/web"
	"starling/web/webtest"
)

// waiter answers when its channel says so, so that requests are in progress for as long as a test likes.
func waiter() (*web.Module, chan string) {
	answers := make(chan string)
	return &web.Module{
		Module: conf.Module{Name: "waiter", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result { return r.Respond(200, "text/plain", []byte(<-answers)) }, nil
		}}},
	}, answers
}

func get(key string) string { return "GET /?k=" + key + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func TestRequestsInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k zone=one:32k;
			server { server_name here; limit_conn_status 429; limit_conn one 2; location / { } }`)
		// One after the other, so that the third is connection 3 in the log.
		first := s.Client()
		synctest.Wait()
		second := s.Client()
		synctest.Wait()
		third := s.Client()
		first.Write(get("a"))
		second.Write(get("a"))
		synctest.Wait()
		if r := third.Do(get("a")); r.StatusCode != 429 {
			t.Errorf("the third of two gets %d", r.StatusCode)
		}
		want := `[error] *3 limiting connections by zone "one", client: unix:, server: here, request: "GET /?k=a HTTP/1.1", host: "a"`
		if lines := strings.Join(s.Log.Lines(), "\n"); lines != want {
			t.Errorf("got %s\nwant %s", lines, want)
		}
		third.Write(get("b"))
		synctest.Wait()
		answers <- "x"
		answers <- "x"
		answers <- "x"
		for _, c := range []*webtest.Client{first, second, third} {
			if r := c.Read("GET"); r.StatusCode != 200 {
				t.Errorf("got %d", r.StatusCode)
			}
		}
		// Connections without a request do not count.
		fourth := s.Client()
		fourth.Write(get("a"))
		answers <- "free"
		if r := fourth.Read("GET"); r.Text != "free" {
			t.Errorf("after all ended: %d %s", r.StatusCode, r.Text)
		}
	})
}

// A rejection takes back what earlier zones counted.
func TestSeveralZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k zone=many:32k;
			limit_conn_zone $uri zone=one:32k;
			server { limit_conn many 2; limit_conn one 1; location / { } location /free { limit_conn many 2; } }`)
		holding := s.Client()
		holding.Write(get("a"))
		synctest.Wait()
		client := s.Client()
		for range 3 {
			if r := client.Do(get("a")); r.StatusCode != 503 {
				t.Errorf("got %d", r.StatusCode)
			}
		}
		client.Write(strings.Replace(get("a"), "/?", "/free?", 1))
		synctest.Wait()
		answers <- "x"
		answers <- "x"
		if r := client.Read("GET"); r.StatusCode != 200 {
			t.Errorf("the first zone still counts rejected requests: %d", r.StatusCode)
		}
		holding.Read("GET")
	})
}

func TestDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k zone=one:32k;
			server { limit_conn one 1; limit_conn_dry_run on; limit_conn_log_level info; location / { } }`)
		first := s.Client()
		first.Write(get("a"))
		synctest.Wait()
		second := s.Client()
		second.Write(get("a"))
		synctest.Wait()
		most := s.Resource("starling/http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
		if got := fmt.Sprintf("%+v", most.Body); got != "{Keys:[{Key:a Connections:1 Here:<nil>}] Strict:<nil>}" {
			t.Errorf("the keys with the most connections are %s", got)
		}
		answers <- "x"
		answers <- "x"
		first.Read("GET")
		second.Read("GET")
		if lines := strings.Join(s.Log.Lines(), "\n"); !strings.HasPrefix(lines, `[info] *2 limiting connections, dry run, by zone "one", client:`) {
			t.Errorf("got %s", lines)
		}
		answer := s.Resource("http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9})
		if got := fmt.Sprintf("%+v", answer.Body); got != "map[one:{Passed:1 Rejected:0 RejectedDryRun:1}]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestStatusVariable(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, webtest.Say()}, `
		limit_conn_zone $arg_k zone=one:32k;
		server { limit_conn one 1; location / { say "[$limit_conn_status]"; } }`)
	if got := s.Get("/?k=a"); !strings.HasSuffix(got, "[PASSED]") {
		t.Errorf("got %q", got)
	}
	if got := s.Get("/"); !strings.HasSuffix(got, "[]") {
		t.Errorf("an empty key: %q", got)
	}
	if got := s.Get("/?k=" + strings.Repeat("x", 256)); !strings.HasSuffix(got, "[PASSED]") {
		t.Errorf("a long key: %q", got)
	}
}

// TestALongKeyIsCounted: nobody gets past a limit by a key that is too long to be kept.
func TestALongKeyIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, waits}, `
			limit_conn_zone $arg_k zone=one:32k;
			server { limit_conn one 1; location / { } }`)
		for _, bytes := range []int{255, 256, 4000} {
			long := strings.Repeat("x", bytes)
			first, other := s.Client(), s.Client()
			first.Write(get(long))
			other.Write(get(long[1:] + "y")) // another key has a place of its own
			synctest.Wait()
			if got := s.Client().Do(get(long)); got.StatusCode != 503 {
				t.Errorf("%d bytes, a second request: %d", bytes, got.StatusCode)
			}
			answers <- "done"
			answers <- "done"
			for _, c := range []*webtest.Client{first, other} {
				if got := c.Read("GET"); got.StatusCode != 200 {
					t.Errorf("%d bytes: %d", bytes, got.StatusCode)
				}
			}
		}
	})
}

func TestMistakes(t *testing.T) {
	const zone = "limit_conn_zone $uri zone=one:32k;"
	for text, problem := range map[string]string{
		`limit_conn_zone $uri zone=:1x;`:                                      `invalid zone size "zone=:1x"`,
		`limit_conn_zone $uri zone=:1k;`:                                      `zone "zone=:1k" is too small`,
		`limit_conn_zone $uri zone=one:;`:                                     `invalid zone size "zone=one:"`,
		`limit_conn_zone $uri zone=;`:                                         `invalid zone size "zone="`,
		`limit_conn_zone $uri zone=one;`:                                      `invalid zone size "zone=one"`,
		`limit_conn_zone $uri zone=:32k;`:                                     `"limit_conn_zone" must have "zone" parameter`,
		`limit_conn_zone $uri zone=one:1k;`:                                   `zone "zone=one:1k" is too small`,
		`limit_conn_zone $uri one;`:                                           `invalid parameter "one"`,
		`limit_conn_zone $uri zone=one:32k strict;`:                           `"strict" requires "sync" in limit_conn_zone "one"`,
		`limit_conn_zone $uri zone=one:32k sync strict_fallback=share;`:       `"strict_fallback" requires "strict" in limit_conn_zone "one"`,
		`limit_conn_zone $uri zone=one:32k sync strict strict_fallback=half;`: `invalid parameter "strict_fallback=half"`,
		`limit_conn_zone $uri zone=one:32k sync strict; limit_conn one 1; server { limit_conn one 2; }`: `limit_conn with the strict zone "one" must have the same number everywhere: 2 here, 1 in /test.conf:2`,
		`limit_conn_zone $uri zone=one:32k syncs;`:                                                      `invalid parameter "syncs"`,
		zone + `limit_conn_zone $host zone=one:32k;`:                                                    `limit_conn_zone "one" is already bound to key "$uri"`,
		zone + `limit_conn one 0;`:                                                                      `invalid number of connections "0"`,
		zone + `limit_conn one many;`:                                                                   `invalid number of connections "many"`,
		zone + `limit_conn one 65536;`:                                                                  `connection limit must be less 65536`,
		zone + `limit_conn one 1; limit_conn one 2;`:                                                    `"limit_conn" directive is duplicate`,
		zone + `limit_conn one;`:                                                                        `invalid number of arguments in "limit_conn" directive`,
		`limit_conn_status 200;`:                                                                        `value must be between 400 and 599`,
	} {
		_, err := webtest.Load(t, []*web.Module{&core.Module, &limitconn.Module}, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// held is what the API tells of the keys with the most requests.
func held(t *testing.T, s *webtest.Server) string {
	t.Helper()
	answer := s.Resource("starling/http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
	text, err := json.Marshal(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A zone with sync counts, limits and frees like another one. The API tells which requests are of this node.
func TestASharedZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k zone=one:32k sync;
			server { limit_conn one 2; limit_conn_status 429; location / { } location /dry { limit_conn one 2; limit_conn_dry_run on; } }`)
		clients := []*webtest.Client{s.Client(), s.Client()}
		for _, c := range clients {
			c.Write(get("a"))
		}
		synctest.Wait()
		if r := s.Client().Do(get("a")); r.StatusCode != 429 {
			t.Errorf("the third of two gets %d", r.StatusCode)
		}
		if got := held(t, s); got != `{"keys":[{"key":"a","connections":2,"here":2}]}` {
			t.Errorf("held are %s", got)
		}
		dry := s.Client()
		dry.Write(strings.Replace(get("a"), "/?", "/dry?", 1))
		synctest.Wait()
		for range 3 {
			answers <- "x"
		}
		for _, c := range append(clients, dry) {
			if r := c.Read("GET"); r.StatusCode != 200 {
				t.Errorf("got %d", r.StatusCode)
			}
		}
		if got := held(t, s); got != `{"keys":[]}` {
			t.Errorf("in the end, held are %s", got)
		}
		figures := s.Resource("http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9})
		if got := fmt.Sprintf("%+v", figures.Body); got != "map[one:{Passed:2 Rejected:1 RejectedDryRun:1}]" {
			t.Errorf("figures are %s", got)
		}
	})
}

// A shared zone that is full rejects new keys, as any zone; others go on.
func TestAFullSharedZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k$arg_k$arg_k$arg_k zone=one:32k sync; server { limit_conn one 2; location / { } }`)
		figures := func() string {
			answer := s.Resource("http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
			return fmt.Sprintf("%+v", answer.Body)
		}
		held := 0
		for ; figures() == fmt.Sprintf("{Passed:%d Rejected:0 RejectedDryRun:0}", held); held++ {
			s.Client().Write(get(fmt.Sprintf("%060d", held)))
			synctest.Wait()
		}
		held--
		if got, want := figures(), fmt.Sprintf("{Passed:%d Rejected:1 RejectedDryRun:0}", held); got != want {
			t.Errorf("figures are %s, want %s", got, want)
		}
		if held < 50 {
			t.Errorf("%d keys fill the zone", held)
		}
		if lines := s.Log.Lines(); len(lines) > 0 {
			t.Errorf("nginx does not log it: %s", lines)
		}
		for range held {
			answers <- "x"
		}
	})
}

// A reload that adds or removes sync keeps the counts, and the figures.
func TestAReloadThatChangesSync(t *testing.T) {
	const text = "limit_conn_zone $arg_k zone=one:32k; server { limit_conn one 2; location / { } }"
	shared := strings.Replace(text, "32k;", "32k sync;", 1)
	for name, c := range map[string]struct{ from, to string }{
		"added":   {text, shared},
		"removed": {shared, text},
		"kept":    {shared, shared},
		"absent":  {text, text},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wait, answers := waiter()
				modules := []*web.Module{&core.Module, &limitconn.Module, wait}
				before := webtest.Start(t, modules, c.from)
				old := []*webtest.Client{before.Client(), before.Client()}
				for _, c := range old {
					c.Write(get("a"))
				}
				synctest.Wait()
				now := webtest.Start(t, modules, c.to, webtest.After(before))
				client := now.Client()
				if r := client.Do(get("a")); r.StatusCode != 503 {
					t.Errorf("the requests of the configuration before do not count: %d", r.StatusCode)
				}
				answers <- "x"
				answers <- "x"
				for _, c := range old {
					c.Read("GET")
				}
				if got := held(t, now); got != `{"keys":[]}` {
					t.Errorf("they have ended, held are %s", got)
				}
				client.Write(get("a"))
				answers <- "x"
				if r := client.Read("GET"); r.StatusCode != 200 {
					t.Errorf("they have ended: %d", r.StatusCode)
				}
				figures := now.Resource("http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9})
				if got := fmt.Sprintf("%+v", figures.Body); got != "map[one:{Passed:3 Rejected:1 RejectedDryRun:0}]" {
					t.Errorf("figures are %s", got)
				}
			})
		})
	}
}
