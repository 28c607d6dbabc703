package core_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/stream/streamtest"
)

// times are the histograms in an answer, which are as they are.
var times = regexp.MustCompile(`,"session_time_hist":\{[^{}]*\{[^{}]*\}\}`)

// noTLS is the ssl object of a zone without handshakes.
const noTLS = `"ssl":{"handshakes":0,"handshakes_failed":0,"session_reuses":0,"no_common_protocol":0,"no_common_cipher":0,"handshake_timeout":0,"peer_rejected_cert":0,"verify_failures":{"no_cert":0,"expired_cert":0,"revoked_cert":0,"other":0}}`

func TestStatusZones(t *testing.T) {
	s := streamtest.Start(t, `stream {
		server { listen 1; status_zone one; say hello; }
		server { listen 2; status_zone one; say bye hold; }
		server { listen 3; say uncounted; }
	}`, nil, &core.Module, streamtest.Say())
	var call func(method string, tail ...string) string
	for _, r := range s.Site.Resources() {
		if r.Path == "stream/server_zones" {
			call = func(method string, tail ...string) string {
				a := r.Handle(&admin.Call{Method: method, Tail: tail})
				if a.Err != nil {
					return a.Err.Code
				}
				text, err := json.Marshal(a.Body)
				if err != nil {
					t.Fatal(err)
				}
				return times.ReplaceAllString(string(text), "")
			}
		}
	}
	s.Ask(0)
	s.Ask(2)
	held := s.Dial(1)
	if _, err := held.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want := `{"one":{"processing":1,"connections":2,"sessions":{"2xx":1,"4xx":0,"5xx":0,"total":1},"discarded":0,"received":0,"sent":5,` + noTLS + `}}`
	testkit.Eventually(t, time.Minute, func() error { // a session is counted after its client was answered
		if got := call("GET"); got != want {
			return errors.New(got)
		}
		return nil
	})
	if got := call("DELETE", "one"); got != "null" {
		t.Errorf("DELETE: %s", got)
	}
	if got, want := call("GET", "one"), `{"processing":1,"connections":0,"sessions":{"2xx":0,"4xx":0,"5xx":0,"total":0},"discarded":0,"received":0,"sent":0,`+noTLS+`}`; got != want {
		t.Errorf("after DELETE: %s", got)
	}
	for tail, want := range map[string]string{"two": "ServerZoneNotFound", "": "MethodNotAllowed"} {
		method, path := "GET", []string{tail}
		if tail == "" {
			method, path = "DELETE", nil
		}
		if got := call(method, path...); got != want {
			t.Errorf("%s %v: %s", method, path, got)
		}
	}
}
