package modules_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"starling/admin"
)

// A page of the sessions names the servers by their addresses. A search finds a session by what the client sends, by its
// key and by its server.
func TestSessionsAreBrowsed(t *testing.T) {
	f := fleet{}
	for _, name := range []string{"a", "b"} {
		f.backend(t, name, func(r *http.Request) string {
			return reply(200, name, "Set-Cookie: session="+r.Header.Get("X-Session"))
		})
	}
	s := f.start(t, `upstream u { server {a}; server {b} route=two; sticky learn zone=s:1m create=$upstream_cookie_session lookup=$cookie_session; }
		server { location / { proxy_pass http://u; } }`)
	c := s.Client()
	for _, session := range []string{"one", "two", "three"} {
		if got := run(c, 1, "X-Session: "+session); got != "a" && got != "b" {
			t.Fatal(got)
		}
	}
	r := s.Resource("starling/http/sessions")
	browse := func(search string, tail ...string) string {
		answer := r.Handle(&admin.Call{Method: "GET", Version: 9, Tail: tail, Query: url.Values{"search": {search}, "limit": {"2"}}})
		if answer.Err != nil {
			return answer.Err.Code
		}
		text, err := json.Marshal(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	sum := md5.Sum([]byte("two"))
	key := hex.EncodeToString(sum[:])
	for search, want := range map[string]string{
		"":                              `{"total":3,"matches":3,"more":true,`,
		"two":                           `{"total":3,"matches":1,"more":false,"records":[{"key":"` + key + `","server":"` + f["b"].addr + `","left_ms":`,
		key[:12]:                        `{"total":3,"matches":1,"more":false,"records":[{"key":"` + key + `"`,
		f["a"].addr:                     `{"total":3,"matches":2,"more":false,`,
		"no session and no server":      `{"total":3,"matches":0,"more":false,"records":[]}`,
		strings.Repeat("x", 1024) + "y": "BadArgument",
	} {
		if got := browse(search, "s"); !strings.HasPrefix(got, want) {
			t.Errorf("%.20q: %s, want %s", search, got, want)
		}
	}
	if got := browse(""); got != `["s"]` {
		t.Errorf("the zones are %s", got)
	}
	if got := browse("", "t"); got != "SessionZoneNotFound" {
		t.Errorf("an unknown zone: %s", got)
	}
}
