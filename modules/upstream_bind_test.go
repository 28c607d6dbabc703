package modules_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestBind: proxy_bind says where connections come from, with variables too. As in nginx one that is no address is
// logged, and the system chooses.
func TestBind(t *testing.T) {
	const other = "127.0.0.2"
	if l, err := net.Listen("tcp", other+":0"); err != nil {
		t.Skip("this system has one loopback address: ", err)
	} else {
		l.Close()
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	defer backend.Close()
	for _, c := range []struct{ conf, header, from, log string }{
		{"proxy_bind off;", "", "127.0.0.1:", ""},
		{"", "", "127.0.0.3:", ""},
		{"proxy_bind 127.0.0.2;", "", "127.0.0.2:", ""},
		{"proxy_bind $http_from;", "From: 127.0.0.2", "127.0.0.2:", ""},
		{"proxy_bind $http_from;", "From: 127.0.0.2:0", "127.0.0.2:", ""},
		{"proxy_bind $http_from;", "X: no From", "127.0.0.1:", ""},
		{"proxy_bind $http_from;", "From: nowhere", "127.0.0.1:", `invalid local address "nowhere"`},
	} {
		s := fleet{}.start(t, "proxy_bind 127.0.0.3; server { location / { "+c.conf+" proxy_pass "+backend.URL+"; } }")
		headers := []string{c.header}
		if c.header == "" {
			headers = nil
		}
		r := get(s.Client(), headers...)
		logged := slices.ContainsFunc(s.Log.Lines(), func(line string) bool { return strings.Contains(line, "invalid local address") })
		if !strings.HasPrefix(r.Text, c.from) || logged != (c.log != "") {
			t.Errorf("%s with %q: %d from %s, want %s; logged: %v", c.conf, c.header, r.StatusCode, r.Text, c.from, logged)
		}
	}
}
