package modules_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/testkit"
	"starling/modules/web/api"
	"starling/modules/web/authrequest"
	"starling/modules/web/core"
	"starling/modules/web/mirror"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/tryfiles"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

var zoneModules = []*web.Module{&core.Module, &rewrite.Module, &authrequest.Module, &mirror.Module, &tryfiles.Module, &proxy.Module, &api.Module,
	webtest.Say()}

// startZones adds the server of the API, which counts nothing itself.
func startZones(t *testing.T, text string) *webtest.Server {
	t.Helper()
	s := webtest.Start(t, zoneModules, text+" server { server_name api; location /api { api write=on; } }")
	plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	return s
}

// askZones is askAPI on the server of the API.
func askZones(s *webtest.Server, line string) string {
	method, target, _ := strings.Cut(line, " ")
	head, body, _ := strings.Cut(s.Send(method+" /api/9/http/"+target+" HTTP/1.0\r\nHost: api\r\n\r\n"), "\r\n\r\n")
	body = times.ReplaceAllString(body, "") // they are as they are
	return strings.TrimSpace(strings.Fields(head)[1] + " " + body)
}

// times are the histograms in an answer.
var times = regexp.MustCompile(`,"response_time_hist":\{[^{}]*\{[^{}]*\}\}`)

// expectAnswer waits for an answer of the API: requests are counted after their clients got the response.
func expectAnswer(t *testing.T, s *webtest.Server, line, want string) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		if got := askZones(s, line); got != want {
			return fmt.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
		return nil
	})
}

// noTLS is the ssl object of a zone without handshakes.
const noTLS = `"ssl":{"handshakes":0,"handshakes_failed":0,"session_reuses":0,"no_common_protocol":0,"no_common_cipher":0,"handshake_timeout":0,"peer_rejected_cert":0,"verify_failures":{"no_cert":0,"expired_cert":0,"revoked_cert":0,"other":0}}`

func TestStatusZonesInTheAPI(t *testing.T) {
	s := startZones(t, `server { server_name a; status_zone site; say hello; location /l { status_zone part; return 404 no; } }
		server { server_name b; status_zone other; }`)
	hello := s.Get("/", "Host: a")
	no := s.Get("/l", "Host: a")
	received := len("GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n")
	responses := func(codes string, second, fourth int) string {
		return fmt.Sprintf(`{"1xx":0,"2xx":%d,"3xx":0,"4xx":%d,"5xx":0,"codes":{%s},"total":%d}`, second, fourth, codes, second+fourth)
	}
	site := fmt.Sprintf(`{"processing":0,"requests":2,"responses":%s,"discarded":0,"received":%d,"sent":%d,%s}`,
		responses(`"200":1,"404":1`, 1, 1), 2*received+1, len(hello)+len(no), noTLS)
	part := fmt.Sprintf(`{"requests":1,"responses":%s,"discarded":0,"received":%d,"sent":%d}`, responses(`"404":1`, 0, 1), received+1, len(no))
	other := fmt.Sprintf(`{"processing":0,"requests":0,"responses":%s,"discarded":0,"received":0,"sent":0,%s}`, responses("", 0, 0), noTLS)
	expectAnswer(t, s, "GET server_zones/site", "200 "+site)
	expectAnswer(t, s, "GET location_zones/part", "200 "+part)
	for _, c := range []struct{ call, want string }{
		{"GET server_zones", `200 {"other":` + other + `,"site":` + site + `}`},
		{"GET location_zones/", `200 {"part":` + part + `}`},
		{"GET location_zones/part", "200 " + part},
		{"GET server_zones?fields=", `200 ["other","site"]`},
		{"GET server_zones?fields=requests,discarded", `200 {"other":{"requests":0,"discarded":0},"site":{"requests":2,"discarded":0}}`},
		{"GET location_zones/part?fields=requests", `200 {"requests":1}`},
		{"DELETE server_zones/site", "204"},
		{"GET server_zones/site?fields=requests,responses", `200 {"requests":0,"responses":` + responses("", 0, 0) + `}`},
		{"GET location_zones/part?fields=requests", `200 {"requests":1}`},
		{"DELETE location_zones/part/", "204"},
		{"GET location_zones/part?fields=requests", `200 {"requests":0}`},
	} {
		if got := askZones(s, c.call); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
		}
	}
	for call, code := range map[string]string{
		"GET server_zones/part":      "ServerZoneNotFound",
		"GET location_zones/site":    "LocationZoneNotFound",
		"DELETE server_zones":        "MethodNotAllowed",
		"POST location_zones/part":   "MethodNotAllowed",
		"GET server_zones/site/x":    "PathNotFound",
		"DELETE server_zones/nobody": "ServerZoneNotFound",
	} {
		if got := askZones(s, call); !strings.Contains(got, `"code":"`+code+`"`) {
			t.Errorf("%s: %s", call, got)
		}
	}
}

// TestStatusZoneOfTheLocationThatAnswers: the families that move requests between locations.
func TestStatusZoneOfTheLocationThatAnswers(t *testing.T) {
	for _, c := range []struct{ name, text, target, servers, locations string }{
		{"if", `location / { status_zone l; if ($arg_a) { status_zone i; } say ok; }`, "/?a=1", `{"s":{"requests":1}}`, `{"i":{"requests":1},"l":{"requests":0}}`},
		{"an if that inherits", `location / { status_zone l; if ($arg_a) { set $b c; } say ok; }`, "/?a=1", `{"s":{"requests":1}}`, `{"l":{"requests":1}}`},
		{"an if that is off", `location / { status_zone l; if ($arg_a) { status_zone off; } say ok; }`, "/?a=1", `{"s":{"requests":1}}`, `{"l":{"requests":0}}`},
		{"rewrite last", `location / { status_zone l; rewrite ^ /to last; } location /to { status_zone to; say ok; }`, "/", `{"s":{"requests":1}}`,
			`{"l":{"requests":0},"to":{"requests":1}}`},
		{"return of a server", `return 204; location / { status_zone l; say ok; }`, "/", `{"s":{"requests":1}}`, `{"l":{"requests":0}}`},
		{"try_files", `location / { status_zone l; try_files /missing @to; } location @to { status_zone to; say ok; }`, "/", `{"s":{"requests":1}}`,
			`{"l":{"requests":0},"to":{"requests":1}}`},
		{"subrequests", `location / { status_zone l; auth_request /auth; mirror /copy; say ok; } location /auth { status_zone auth; return 204; }
			location /copy { status_zone copy; say ok; }`, "/", `{"s":{"requests":1}}`, `{"auth":{"requests":0},"copy":{"requests":0},"l":{"requests":1}}`},
		{"a denied request", `location / { status_zone l; auth_request /auth; say ok; } location /auth { status_zone auth; return 403; }`, "/", `{"s":{"requests":1}}`,
			`{"auth":{"requests":0},"l":{"requests":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startZones(t, `server { server_name a; status_zone s; `+c.text+` }`)
			s.Get(c.target, "Host: a")
			expectAnswer(t, s, "GET server_zones?fields=requests", "200 "+c.servers)
			expectAnswer(t, s, "GET location_zones?fields=requests", "200 "+c.locations)
			if got := askZones(s, "GET server_zones?fields=processing"); got != `200 {"s":{"processing":0}}` {
				t.Error(got)
			}
		})
	}
}

// TestStatusZoneOfATunnel: a 101 is in progress until the tunnel ends, and counts what went through to the client.
func TestStatusZoneOfATunnel(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		p.Say("<" + p.Body(4) + ">")
	})
	s := startZones(t, `server { server_name a; status_zone s; location / { status_zone l; proxy_pass http://`+b.Addr+`;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`)
	conn := s.DialLoopback()
	conn.SetDeadline(time.Now().Add(webtest.Patience))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	expectAnswer(t, s, "GET server_zones/s?fields=processing,requests", `200 {"processing":1,"requests":1}`)
	io.WriteString(conn, "ping")
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(all), "<ping>") {
		t.Fatalf("%q %v", all, err)
	}
	want := fmt.Sprintf(`200 {"requests":1,"responses":{"1xx":1,"2xx":0,"3xx":0,"4xx":0,"5xx":0,"codes":{"101":1},"total":1},"discarded":0,"sent":%d}`, len(all))
	expectAnswer(t, s, "GET location_zones/l?fields=requests,responses,discarded,sent", want)
	expectAnswer(t, s, "GET server_zones/s?fields=processing,requests", `200 {"processing":0,"requests":1}`)
}
