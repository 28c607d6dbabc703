package modules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/admin"
	"starling/web/webtest"
)

// A reload that fails after a cache was prepared changes nothing of it: whether its purges are shared, and its limits.
func TestAFailedReloadLeavesTheCacheAsItWas(t *testing.T) {
	// The second cache fails at the start, after everything about the first one was done: its parent folder is missing.
	const failing = "proxy_cache_path missing/two keys_zone=two:1m;"
	o := newOrigin(t, originSays("x"))
	for _, c := range []struct{ name, old, next, unknownKey string }{
		{"with sync, then without", "max_size=10m sync", "max_size=20m", "204"}, // another node can have it
		{"without sync, then with", "max_size=10m", "max_size=20m sync", "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			text := func(parameters, more string) string {
				return `proxy_cache_path cache keys_zone=one:1m ` + parameters + `; ` + more + ` server { location / {
					proxy_pass ` + o.URL + `; proxy_cache one; proxy_cache_key $uri; proxy_cache_purge $http_x_purge; } }`
			}
			s := webtest.Start(t, families, text(c.old, ""), webtest.Prefix(dir))
			_, err := webtest.Load(t, families, text(c.next, failing), webtest.Prefix(dir), webtest.After(s))
			if err == nil || !strings.Contains(err.Error(), "mkdir()") {
				t.Fatalf("the reload gives %v", err)
			}
			r := s.Client().Do("PURGE /none HTTP/1.1\r\nHost: a\r\nX-Purge: 1\r\n\r\n")
			if got := strings.Fields(r.Status)[0]; got != c.unknownKey {
				t.Errorf("a purge of an unknown key: %s, want %s", got, c.unknownKey)
			}
			resource := s.Resource("http/caches")
			body, err := json.Marshal(resource.Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}}).Body)
			if err != nil || !strings.Contains(string(body), `"max_size":10485760`) {
				t.Errorf("the API says %s, %v", body, err)
			}
		})
	}
}

// A cache that cannot write to its folder does not keep the server from starting: clients get the server's responses,
// and whoever purges is told that it failed.
func TestAServerStartsWithAnUnwritableCache(t *testing.T) {
	o := newOrigin(t, originSays("x"))
	for _, parameters := range []string{"", "sync"} {
		for name, path := range map[string]string{"the folder is a file": "cache", "the purges are a folder": "cache/purges/x"} {
			t.Run(name+" "+parameters, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, path), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				s := webtest.Start(t, families, `proxy_cache_path cache keys_zone=one:1m `+parameters+`; server { location / {
					proxy_pass `+o.URL+`; proxy_cache one; proxy_cache_key $uri; proxy_cache_purge $http_x_purge; } }`,
					webtest.Prefix(dir))
				for request, want := range map[string]string{"GET /a": "200", "PURGE /a": "503"} {
					header := ""
					if want == "503" {
						header = "X-Purge: 1\r\n"
					}
					r := s.Client().Do(request + " HTTP/1.1\r\nHost: a\r\n" + header + "\r\n")
					if got := strings.Fields(r.Status)[0]; got != want {
						t.Errorf("%s: %s, want %s", request, got, want)
					}
				}
			})
		}
	}
}
