package beside

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// besideConf is one configuration for both servers, and both stay root where the test is: nginx without its master
// always does. %[1]s is the folder of the sockets, %[2]s that of the documents, %[3]s the backend.
const besideConf = `daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr emerg;
events { }
http {
	access_log off;
	types { text/html html; text/plain txt; image/gif gif; }
	default_type application/octet-stream;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	charset_map koi8-r wide { 2F 7C; } # the head of a part is recoded too
	map $arg_m $mapped { default none; ~^x(?<rest>.*)$ "rest $rest"; a A; }
	limit_req_zone $arg_key zone=keys:1m rate=1r/m;
	root %[2]s;
	server {
		listen unix:%[1]s/socket default_server;
		server_name one;
		client_max_body_size 1k;
		large_client_header_buffers 2 2k;
		add_header X-Uri "$uri|$args|$request_uri|$host|$request_method" always;
		error_page 405 /pages/405.html;
		error_page 410 =200 /pages/gone.html;
		error_page 418 @teapot;
		location / { }
		location @teapot { return 200 "a teapot, $uri\n"; }
		location /say { return 200 "$mapped\n"; }
		location = /exact { return 200 exact; }
		location ^~ /images/ { return 200 "prefix $uri"; }
		location ~ \.gif$ { return 200 "regex $uri"; }
		location ~* \.JPG$ { return 200 "caseless $uri"; }
		location /redirect { return 302 /elsewhere; }
		location /redirect/full { return 301 http://example.com/x?y=z; }
		location /redirect/relative { absolute_redirect off; return 303 /elsewhere; }
		location /code { return 204; }
		location /code/403 { return 403; }
		location /code/404 { return 404 "not here"; }
		location /code/410 { return 410; }
		location /code/418 { return 418; }
		location /code/444 { return 444; }
		location /code/500 { return 500; }
		location /code/503 { return 503; }
		location /rewrite/ { rewrite ^/rewrite/(.*)/(.*)$ /say/$2?m=$1 last; return 403; }
		location /rewrite/loop { rewrite ^ /rewrite/loop last; }
		location /permanent { rewrite ^/permanent(/.*)$ /new$1 permanent; }
		location /if { if ($arg_x = 1) { return 200 "x is one"; } if ($request_method = POST) { return 405; } return 200 "x is not one"; }
		location /set { set $a "$arg_a-"; set $b "${a}b"; return 200 $b; }
		location /alias/ { alias %[2]s/pages/; }
		location /try/ { try_files $uri $uri/ /pages/gone.html; }
		location /try/none { try_files $uri =404; }
		location /internal { internal; return 200 secret; }
		location /only { limit_except GET { deny all; } return 200 read; }
		location /denied { deny all; }
		location /limited { limit_req zone=keys; }
		location /sliced/ { slice 3; proxy_pass http://unix:%[1]s/socket:/; proxy_set_header Host one; proxy_set_header Range $slice_range; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location ~ ^/sliced-regex/(.*)$ { slice 4; proxy_pass http://unix:%[1]s/socket:/$1; proxy_set_header Host one; proxy_set_header Range $slice_range; add_header X-Slice $slice_range; }
		location /unsliced/ { proxy_pass http://unix:%[1]s/socket:/; proxy_set_header Host one; proxy_set_header Range $slice_range; }
		location /expires/epoch/ { alias %[2]s/; expires epoch; }
		location /expires/max/ { alias %[2]s/; expires max; }
		location /expires/off/ { alias %[2]s/; expires off; etag off; }
		location /expires/of/ { alias %[2]s/; expires $arg_e; }
		location /recoded/ { alias %[2]s/; source_charset koi8-r; charset wide; }
		location /expires { expires 1h; return 200 x; }
		location /refresh { msie_refresh on; error_page 404 =303 "http://e/~{|}'$arg_a"; return 302 "/a b<>\\^+%%25#$arg_a"; }
		location /refresh/page { msie_refresh on; error_page 404 =303 "http://e/~{|}'$arg_a"; return 404; }
		location /refresh/other { msie_refresh on; return 307 /x; }
		location /padding/off { msie_padding off; return 404; }
		location /slash/ { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location /proxy { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Real $http_x_a; }
		location /proxy/to/ { proxy_pass http://%[3]s/other/; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }
		location /proxy/down { proxy_pass http://unix:%[1]s/nobody; }
		location /proxy/hide { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_hide_header X-Answer; }
		location /proxy/ranges { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_force_ranges on; }
		location /length/ { add_header X-Length "$content_length" always; return 200 "[$content_length]"; }
		location /withheld/ { proxy_pass http://unix:%[1]s/socket:/length/; proxy_pass_request_body off; proxy_set_header Host one; }
		location /withheld/empty/ { proxy_pass http://unix:%[1]s/socket:/length/; proxy_pass_request_body off; proxy_set_header Host one; proxy_set_header Content-Length ""; }
		location /withheld/named/ { proxy_pass http://unix:%[1]s/socket:/length/; proxy_pass_request_body off; proxy_set_header Host one; proxy_set_header Content-Length $content_length; }
		location /passed/named/ { proxy_pass http://unix:%[1]s/socket:/length/; proxy_set_header Host one; proxy_set_header Content-Length $content_length; }
		location /authed/ { auth_request /withheld/; auth_request_set $told $upstream_http_x_length; add_header X-Told "[$told]"; alias %[2]s/; error_page 405 =200 /pages/gone.html; }
		location /authed/empty/ { auth_request /withheld/empty/; auth_request_set $told $upstream_http_x_length; add_header X-Told "[$told]"; alias %[2]s/; }
		location /accel/ { proxy_pass http://unix:%[1]s/socket:/accel/source/; proxy_set_header Host one; proxy_set_header X-To $arg_to; }
		location /accel/source/ { add_header X-Accel-Redirect $http_x_to; charset utf-8; types { } default_type text/plain; return 200 source; }
		location /accel/page/ { alias %[2]s/; error_page 404 /pages/gone.html; }
		location /proxy/intercept { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_intercept_errors on; error_page 503 =200 /pages/gone.html; }
	}
	server {
		listen unix:%[1]s/socket;
		server_name two *.two.com www.three.* ~^four\d+$;
		return 200 "the other: $server_name $host";
	}
}
`

// documents makes the files that both serve.
func documents(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	addDocuments(t, dir, map[string]string{
		"index.html": "the index\n", "a.txt": "0123456789", "sp ace.txt": "space", "pages/405.html": "no method\n", "pages/gone.html": "gone\n",
		"pages/index.html": "pages\n", "empty.txt": "", "noindex/a.txt": "a", "unknown.xyz": "x", "dir/sub/index.html": "sub\n",
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// addDocuments makes files, all of the same age.
func addDocuments(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, text := range texts {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, stamp, stamp)); err != nil {
			t.Fatal(err)
		}
	}
}

// nginxToCompare is the program to compare with. .ci/run installs it.
func nginxToCompare(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s to compare with: .ci/run installs nginx", program)
	}
	return path
}

// reflector is a backend that answers with the request as it came: what a server behind sees is compared too.
func reflector(t *testing.T) string { return listening(t, reflect) }

func reflect(conn net.Conn) {
	defer conn.Close()
	var raw strings.Builder
	reader := bufio.NewReader(io.TeeReader(conn, &raw))
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		return
	}
	text := raw.String()
	status := "200 Fine"
	if code, ok := strings.CutPrefix(request.URL.RawQuery, "status="); ok {
		status = code + " Odd Reason"
	}
	head := "HTTP/1.1 " + status + "\r\nX-Answer: yes\r\nx-lower: Kept\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" +
		"Server: backend\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n"
	switch {
	case strings.HasSuffix(request.URL.Path, "/chunked"):
		head += "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
		text = fmt.Sprintf("5\r\nfirst\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
	case strings.HasSuffix(request.URL.Path, "/close"):
		head += "Connection: close\r\nContent-Type: text/plain\r\n\r\n"
	case strings.HasSuffix(request.URL.Path, "/location"):
		head += "Location: http://" + request.Host + "/proxy/x\r\nContent-Length: 0\r\n\r\n"
		text = ""
	default:
		head += fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text))
	}
	if request.Method == http.MethodHead {
		text = ""
	}
	io.WriteString(conn, head+text) // the client may have gone
}

// beside starts a server on the configuration and gives its socket.
func beside(t *testing.T, program, root, backend string) string {
	t.Helper()
	return besideWith(t, program, func(dir string) string { return fmt.Sprintf(besideConf, dir, root, backend) })
}

// besideWith is beside with a configuration of the test's own, which listens on "socket" in a folder.
func besideWith(t *testing.T, program string, conf func(dir string) string) string {
	t.Helper()
	dir := testkit.SocketDir(t)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "-p", dir, "-c", file, "-e", "stderr")
	var said harness.LockedBuffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		server.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", program, said.String())
		}
	})
	socket := filepath.Join(dir, "socket")
	testkit.Eventually(t, harness.Patience, func() error {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return socket
}

// roundTrip sends raw bytes and gives all that comes until the server closes.
func roundTrip(socket, raw string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	go io.WriteString(conn, raw) // ends early where the server does
	all, err := io.ReadAll(conn)
	return string(all), err
}

var (
	ownHeaders = regexp.MustCompile(`(?m)^(Server|Date): .*\r\n`)
	ownName    = regexp.MustCompile(`<hr><center>(nginx|starling)[^<]*</center>`)
	heads      = regexp.MustCompile(`(?m)^(?:HTTP/1|[A-Z]+ /\S* HTTP/1)[^\r\n]*\r\n(?:[^\r\n]+\r\n)*`)
	boundary   = regexp.MustCompile(`(--|boundary=)\d{20}`)
	errorPage  = regexp.MustCompile(`(?m)^Content-Length: \d+\r\n`)
)

// comparable takes away what differs between any two servers: the order of headers with different names means nothing,
// and the length of an error page goes with the name in it.
func comparable(answer string) string {
	answer = ownHeaders.ReplaceAllString(answer, "")
	answer = boundary.ReplaceAllString(answer, "${1}BOUNDARY")
	answer = heads.ReplaceAllStringFunc(answer, sortedHead)
	if ownName.MatchString(answer) {
		answer = errorPage.ReplaceAllString(ownName.ReplaceAllString(answer, "<hr><center>NAME</center>"), "")
	}
	return answer
}

// sortedHead orders the headers below a first line by name; those of one name stay in their order.
func sortedHead(head string) string {
	lines := strings.SplitAfter(head, "\r\n")
	fields := lines[1 : len(lines)-1]
	slices.SortStableFunc(fields, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return strings.Join(lines, "")
}

// Both answer alike: status line, headers and bodies. knownDifferences says where and why not.
func TestAnswersBesideNginx(t *testing.T) {
	nginx := nginxToCompare(t, "nginx")
	t.Parallel()
	root, backend := documents(t), reflector(t)
	ours, theirs := beside(t, harness.Binary, root, backend), beside(t, nginx, root, backend)
	requests := besideRequests()
	seen := map[string]bool{}
	for _, r := range requests {
		if seen[r.name] {
			t.Fatalf("two requests are called %s", r.name)
		}
		seen[r.name] = true
		var answers [2]string
		var both sync.WaitGroup
		for i, socket := range []string{ours, theirs} {
			both.Go(func() {
				answer, err := roundTrip(socket, r.raw)
				if err != nil {
					answer += " and then " + err.Error()
				}
				answers[i] = comparable(answer)
			})
		}
		both.Wait()
		reason, known := knownDifferences[r.name]
		switch same := answers[0] == answers[1]; {
		case same && known:
			t.Errorf("%s: there is no difference (%s)", r.name, reason)
		case !same && !known:
			t.Errorf("%s: %q\nwe answer    %q\nnginx answers %q", r.name, r.raw, answers[0], answers[1])
		}
	}
	for name := range knownDifferences {
		if !seen[name] {
			t.Errorf("there is no request %s", name)
		}
	}
	t.Logf("%d requests", len(requests))
}
