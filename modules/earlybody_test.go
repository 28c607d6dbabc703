package modules_test

import (
	"strings"
	"testing"

	"starling/modules/web/access"
	"starling/modules/web/core"
	"starling/modules/web/rewrite"
	"starling/web"
	"starling/web/webtest"
)

// TestClientBodyEarlyRead: the body is there for all phases, also in files, chunks and error pages, where a condition
// holds; its limit is that of the server first, and then that of the location.
func TestClientBodyEarlyRead(t *testing.T) {
	dir := t.TempDir()
	s := webtest.Start(t, []*web.Module{&core.Module, &rewrite.Module, &access.Module}, `client_body_temp_path `+dir+`/bodies; client_max_body_size 20;
		server { client_body_early_read $arg_x $arg_y; client_body_buffer_size 8;
			location / { return 200 "[$request_body]"; }
			location /if { if ($request_body = abcde) { return 200 same; } return 200 other; }
			location /file { return 200 "$request_body_file"; }
			location /small { client_max_body_size 2; return 200 small; }
			location /denied { deny all; error_page 403 =200 /; } }`)
	const length, chunks = "Content-Length: 5\r\n\r\nabcde", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	long := "Content-Length: 12\r\n\r\n0123456789ab"
	for _, c := range []struct{ target, request, want string }{
		{"/?x=1", length, "200 [abcde]"},
		{"/?x=1", chunks, "200 [abcde]"},
		{"/?y=on", length, "200 [abcde]"},
		{"/?x=0", length, "200 []"},
		{"/", length, "200 []"},
		{"/if?x=1", length, "200 same"},
		{"/if", length, "200 other"},
		{"/denied?x=1", length, "200 [abcde]"},
		{"/?x=1", long, "200 []"}, // in a file
		{"/file?x=1", long, "200 " + dir + "/bodies"},
		{"/small?x=1", length, "413"},
		{"/?x=1", "Content-Length: 21\r\n\r\n" + strings.Repeat("x", 21), "413"},
		{"/?x=1", "Transfer-Encoding: chunked\r\n\r\n15\r\n" + strings.Repeat("x", 21) + "\r\n0\r\n\r\n", "413"},
	} {
		r := s.Client().Do("POST " + c.target + " HTTP/1.1\r\nHost: a\r\n" + c.request)
		if got := r.Status[:3] + " " + r.Text; !strings.HasPrefix(got, c.want) {
			t.Errorf("%s with %.40q: got %q, want %q", c.target, c.request, got, c.want)
		}
	}
	if _, err := webtest.Load(t, []*web.Module{&core.Module}, `server { client_body_early_read $none; }`); err == nil {
		t.Error("an unknown variable was accepted")
	}
}
