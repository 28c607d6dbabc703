package accesslog_test

import (
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/accesslog"
	"starling/web"
	"starling/web/webtest"
)

// inside runs work with a request at the end of its log phase.
func inside(t testing.TB, text string, work func(handle func())) {
	build := accesslog.Module.Handlers[0].Build
	probe := web.Module{Module: bare("probe"), Handlers: []web.Hook{{Phase: web.Log, Build: func(b *web.Block) (web.Handler, error) {
		handler, err := build(b)
		return func(r *web.Request) web.Result {
			work(func() { handler(r) })
			return web.Declined
		}, err
	}}}}
	s := webtest.Start(t, append(modules[:len(modules):len(modules)], &probe), text)
	s.LoopbackClient().Do("GET /path?x=y HTTP/1.1\r\nHost: example.com\r\nUser-Agent: some/1.0 (\"browser\")\r\nReferer: http://example.com/\r\n\r\n")
	s.Site.Close()
	<-s.Site.Drained()
}

func TestALineDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	inside(t, `
		log_format json escape=json '{"a":"$remote_addr","u":"$request_uri","t":"$time_iso8601","d":$request_time,"ua":"$http_user_agent"}';
		access_log /dev/null combined buffer=32k;
		access_log /dev/null json if=$uri;
		server { say ok; }`,
		func(handle func()) {
			if n := testing.AllocsPerRun(1000, handle); n > 0 {
				t.Errorf("%v allocations for each line", n)
			}
		})
}

func BenchmarkCombined(b *testing.B) {
	inside(b, "access_log /dev/null combined buffer=32k; server { say ok; }", func(handle func()) {
		for b.Loop() {
			handle()
		}
	})
}
