package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/autoindex"
	"starling/modules/web/core"
	"starling/modules/web/randomindex"
	"starling/modules/web/rewrite"
	"starling/modules/web/static"
	"starling/modules/web/tryfiles"
	"starling/web"
	"starling/web/webtest"
)

// TestAliasesOfRewrittenPaths: an alias replaces the name of its location, which a path that was rewritten in it need not
// begin with.
func TestAliasesOfRewrittenPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &rewrite.Module, &tryfiles.Module, &randomindex.Module, &autoindex.Module, &static.Module},
		strings.ReplaceAll(`server {
		location /found/ { alias DIR/; rewrite ^/found/other /found/file last; }
		location /static/ { alias DIR/; rewrite ^ /x/static/file break; }
		location /before/ { alias DIR/; rewrite ^ /x/before/file; break; }
		location /index/ { alias DIR/; rewrite ^ /x/index/ break; index file; }
		location /list/ { alias DIR/; rewrite ^ /x/list/ break; index off$arg_none; autoindex on; }
		location /random/ { alias DIR/; rewrite ^ /x/random/ break; random_index on; }
		location /try/ { alias DIR/; rewrite ^ /x/try/file break; try_files $uri =404; }
		location ~ ^/regex/(.*) { alias DIR/$1; rewrite ^ /x/$1 break; }
		location /root/ { root DIR; rewrite ^ /file break; }
	}`, "DIR", dir))
	for target, want := range map[string]int{
		"/found/other": 200, "/found/file": 200, "/root/x": 200, "/static/file": 500, "/before/file": 500, "/index/": 500, "/list/": 500,
		"/random/": 500, "/try/file": 500, "/regex/file": 500,
	} {
		if got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, got.StatusCode, want)
		}
	}
}

// TestIndexBehindTheAliasOfARegex: the file that counts is the one in the folder that the alias names.
func TestIndexBehindTheAliasOfARegex(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "folder/second"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &static.Module}, strings.ReplaceAll(`server { index first second;
		location ~ ^/to/(.*)$ { alias DIR/$1; }
		location ~ ^/file/(.*)$ { alias DIR/file; }
	}`, "DIR", dir))
	for target, want := range map[string]int{"/to/folder/": 200, "/to/folder/first": 404, "/file/": 500, "/file/x": 200} {
		if got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, got.StatusCode, want)
		}
	}
}

// TestAliasesAfterRewritesOfAServer: what a server rewrites for good counts in the location that is found then, too.
func TestAliasesAfterRewritesOfAServer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &rewrite.Module, &static.Module}, strings.ReplaceAll(`server {
		rewrite ^/break/ /alias/file break; rewrite ^/last/ /alias/file last; error_page 500 /alias/file;
		location /alias/ { alias DIR/; }
	}
	server { server_name bare; rewrite ^/break/ /alias/file break; location /alias/ { alias DIR/; } }`, "DIR", dir))
	for _, c := range []struct {
		target, host string
		want         int
	}{{"/alias/file", "x", 200}, {"/last/", "x", 200}, {"/break/", "bare", 500}} {
		if got := s.Client().Do("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n"); got.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.target, got.StatusCode, c.want)
		}
	}
	if got := s.Client().Do("GET /break/ HTTP/1.1\r\nHost: x\r\n\r\n"); got.Text != "text" {
		t.Errorf("an error page is found anew: %q", got.Text)
	}
}

// TestConnectionsThatALocationCloses: a location that keeps no connections closes one for good, wherever the request ends.
func TestConnectionsThatALocationCloses(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &rewrite.Module, &static.Module}, `server { error_page 418 /kept; error_page 419 @kept;
		location /kept { return 200 kept; }
		location @kept { return 200 kept; }
		location /moved { keepalive_timeout 0; rewrite ^ /kept last; }
		location /page { keepalive_timeout 0; return 418; }
		location /named { keepalive_requests 1; return 419; }
		location /if { keepalive_timeout 0; if ($arg_a) { return 200 kept; } }
		location /other { rewrite ^ /kept last; }
	}`)
	for target, closes := range map[string]bool{
		"/kept": false, "/other": false, "/moved": true, "/page": true, "/named": true, "/if?a=1": true,
	} {
		if got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); got.Close != closes {
			t.Errorf("%s: closes is %t, want %t", target, got.Close, closes)
		}
	}
}
