package web_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

// keeping are the settings of a family that keeps request bodies: `keep` takes what cannot be kept as it comes, `keep
// whole` does not.
type keeping struct{ keeps, whole bool }

func keeper() *web.Module {
	m := &web.Module{Module: conf.Module{Name: "keep", New: conf.NewOf[keeping], Clone: conf.CloneOf[keeping]}}
	m.Directives = []conf.Directive{{Name: "keep", Syntax: "[whole]", In: conf.Server | conf.Location,
		Set: conf.Raw(func(s *keeping, a *conf.Args) error { s.keeps, s.whole = true, a.Has("whole"); return nil })}}
	m.Handlers = []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
		s := conf.Settings[keeping](b.Scope, &m.Module)
		if !s.keeps || b.Current == nil {
			return nil, nil
		}
		b.KeepsBodies()
		return func(r *web.Request) web.Result {
			if err := r.KeepBody(s.whole); err != nil {
				return r.ErrorStatus(err)
			}
			return r.Respond(200, "text/plain", []byte(describe(r)))
		}, nil
	}}}
	return m
}

// describe says where the body is, whether its file can be opened by name, and what it is.
func describe(r *web.Request) string {
	where, content := "memory", r.KeptBody()
	if f := r.BodyFile(); f != nil {
		where, content = "file", make([]byte, 1<<20)
		n, err := f.ReadAt(content, 0)
		if err != nil {
			return err.Error()
		}
		content = content[:n]
		if named, err := os.ReadFile(f.Name); err == nil && string(named) == string(content) {
			where = "named file"
		}
	}
	if r.BodyFollows() {
		where += ", more follows"
	}
	return where + ": " + string(content)
}

func keep(t *testing.T, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, []*web.Module{&core.Module, keeper(), webtest.Say()}, "server { "+text+" }", options...)
}

// patience is how long a test waits for what happens on its own.
const patience = 10 * time.Second

func post(framing, body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framing + "\r\n\r\n" + body
}

// TestWhereBodiesAreKept: in memory up to client_body_buffer_size, else in a file; client_body_in_file_only always in a
// file.
func TestWhereBodiesAreKept(t *testing.T) {
	long := strings.Repeat("0123456789", 3000)
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }
	chunks := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	const chunked = "Transfer-Encoding: chunked"
	for _, c := range []struct{ name, conf, request, want string }{
		{"fits", ``, post(length("hello"), "hello"), "memory: hello"},
		{"fits just so", `client_body_buffer_size 5;`, post(length("hello"), "hello"), "memory: hello"},
		{"is longer", `client_body_buffer_size 4;`, post(length("hello"), "hello"), "file: hello"},
		{"is much longer", ``, post(length(long), long), "file: " + long},
		{"fits a larger buffer", `client_body_buffer_size 64k;`, post(length(long), long), "memory: " + long},
		{"chunks fit", ``, post(chunked, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), "memory: hello"},
		{"chunks are longer", `client_body_buffer_size 4;`, post(chunked, chunks("hello")), "file: hello"},
		{"chunks are much longer", ``, post(chunked, chunks(long)), "file: " + long},
		{"chunks fit a larger buffer", `client_body_buffer_size 64k;`, post(chunked, chunks(long)), "memory: " + long},
		{"a file only", `client_body_in_file_only on;`, post(length("hello"), "hello"), "named file: hello"},
		{"a file only, for the request", `client_body_in_file_only clean;`, post(chunked, chunks(long)), "named file: " + long},
		{"an empty file", `client_body_in_file_only on;`, post("Content-Length: 0", ""), "named file: "},
		{"too large for all", `client_max_body_size 4;`, post(chunked, chunks("hello")), ""},
		{"too large for all, in a file", `client_max_body_size 4; client_body_in_file_only on;`, post(chunked, chunks("hello")), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := keep(t, `location / { keep; `+c.conf+` }`)
			response := s.Send(c.request)
			if c.want == "" && status(response) != "413 Request Entity Too Large" || c.want != "" && body(response) != c.want {
				t.Errorf("got %.200q, want %.200q %v", response, c.want, s.Log.Lines())
			}
			left, err := filepath.Glob(filepath.Join(s.Plan.Prefix, "client_body_temp", "*"))
			if stays := strings.HasPrefix(c.want, "named") && strings.Contains(c.conf, " on;"); err != nil || (len(left) == 1) != stays || len(left) > 1 {
				t.Errorf("left behind: %v %v", left, err)
			}
			if n := web.SpooledBytes(s.Site); n != 0 {
				t.Errorf("%d bytes stay reserved", n)
			}
		})
	}
}

// TestBodyPaths: the levels of client_body_temp_path are directories named by the last digits, and the log says where
// the body is.
func TestBodyPaths(t *testing.T) {
	s := keep(t, `client_body_temp_path bodies 1 2; location / { keep; client_body_in_file_only clean; }`)
	s.Send(post("Content-Length: 5", "hello"))
	name := regexp.MustCompile(regexp.QuoteMeta(s.Plan.Prefix) + `/bodies/(\d)/(\d\d)/\d{7}(\d\d)(\d),`)
	lines := s.Log.Lines()
	for _, line := range lines {
		if m := name.FindStringSubmatch(line); m != nil && m[1] == m[4] && m[2] == m[3] &&
			strings.Contains(line, "[notice] *1 a client request body is buffered to a temporary file") {
			return
		}
	}
	t.Errorf("no line tells of a file below directories named by its last digits: %q", lines)
}

// TestFullSpool: where all files together hold what they may, a body is passed on as it comes, or refused if that
// cannot be.
func TestFullSpool(t *testing.T) {
	long := strings.Repeat("x", 50000)
	request := post("Content-Length: 50000", long)
	for _, c := range []struct {
		name, conf string
		limit      int64
		want, log  string
	}{
		{"before the file", `keep;`, 1000, "memory, more follows: ", "; streaming this one"},
		{"within the file", `keep;`, 40000, "file, more follows: xxx", "; streaming this one"},
		{"it must be whole", `keep whole;`, 40000, "", "[error] *1 request bodies in temporary files reached the limit of "},
		{"it must be in a file", `keep; client_body_in_file_only on;`, 40000, "", "[error] *1 request bodies in temporary files reached the limit of "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := keep(t, `location / { `+c.conf+` }`, func(p *plan.Plan) { web.LimitBodyFiles(p, c.limit) })
			got := s.Send(request)
			if c.want == "" && status(got) != "503 Service Temporarily Unavailable" || c.want != "" && !strings.HasPrefix(body(got), c.want) {
				t.Errorf("%.200q", got)
			}
			if !strings.Contains(strings.Join(s.Log.Lines(), "\n"), c.log) {
				t.Errorf("not in the log: %s", c.log)
			}
			if n := web.SpooledBytes(s.Site); n != 0 {
				t.Errorf("%d bytes stay reserved", n)
			}
			if left, _ := filepath.Glob(filepath.Join(s.Plan.Prefix, "client_body_temp", "*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestBrokenDisk: what cannot be written is a 500 that names the path, and nothing else of the connection suffers.
func TestBrokenDisk(t *testing.T) {
	full := func(name string, _ int, _ os.FileMode) (*os.File, error) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Error(err)
		}
		return os.OpenFile("/dev/full", os.O_RDWR, 0)
	}
	denied := func(name string, _ int, _ os.FileMode) (*os.File, error) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES}
	}
	for _, c := range []struct {
		name string
		open func(string, int, os.FileMode) (*os.File, error)
		log  string
	}{
		{"full", full, `[crit] *1 pwrite() "PREFIX/client_body_temp/`},
		{"closed to us", denied, `[crit] *1 open() "PREFIX/client_body_temp/`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := keep(t, `location / { keep; client_body_in_file_only on; } location /ok { say fine; }`)
			web.OpenBodyFiles(s.Site, c.open)
			// The answer comes although the client goes on sending, and the connection ends with it.
			got := s.Send(strings.Replace(post("Content-Length: 200000", strings.Repeat("x", 200000)), "Connection: close\r\n", "", 1))
			if status(got) != "500 Internal Server Error" || !strings.Contains(got, "\r\nConnection: close\r\n") {
				t.Errorf("%.300q", got)
			}
			want := strings.ReplaceAll(c.log, "PREFIX", s.Plan.Prefix)
			if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(log, want) {
				t.Errorf("not in the log: %s\n%s", want, log)
			}
			if got := body(s.Get("/ok")); got != "fine" {
				t.Errorf("afterwards: %q", got)
			}
			if n := web.SpooledBytes(s.Site); n != 0 {
				t.Errorf("%d bytes stay reserved", n)
			}
		})
	}
}

// TestTakenNames: a file that is there already is left alone and the body goes to one of another name; the search for
// it ends.
func TestTakenNames(t *testing.T) {
	s := keep(t, `location / { keep; client_body_in_file_only on; }`)
	dir := filepath.Join(s.Plan.Prefix, "client_body_temp")
	files := func() map[string]string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, e := range entries {
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = string(content)
		}
		return found
	}
	s.Send(post("Content-Length: 3", "one"))
	var first, taken string
	for first = range files() {
		n, err := strconv.ParseUint(first, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		taken = fmt.Sprintf("%010d", n+1)
	}
	if err := os.WriteFile(filepath.Join(dir, taken), []byte("of somebody else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := body(s.Send(post("Content-Length: 3", "two"))); got != "named file: two" {
		t.Errorf("%q %q", got, s.Log.Lines())
	}
	if got := files(); len(got) != 3 || got[first] != "one" || got[taken] != "of somebody else" {
		t.Errorf("the directory has %q", got)
	}

	tries := 0
	web.OpenBodyFiles(s.Site, func(name string, _ int, _ os.FileMode) (*os.File, error) {
		if tries++; tries > 1000 {
			return nil, errors.New("the search does not end")
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EEXIST}
	})
	got := s.Send(post("Content-Length: 5", "three"))
	want := `[crit] *3 open() "` + dir + `/`
	if log := strings.Join(s.Log.Lines(), "\n"); status(got) != "500 Internal Server Error" || !strings.Contains(log, want) ||
		!strings.Contains(log, "failed (17: File exists)") {
		t.Errorf("%.100q, want 500 and %s in the log:\n%s", got, want, log)
	}
	if n := web.SpooledBytes(s.Site); n != 0 {
		t.Errorf("%d bytes stay reserved", n)
	}
}

// TestBodyDirectories: one that is named must be there or be made at start; the default may be missing until it is
// needed.
func TestBodyDirectories(t *testing.T) {
	_, err := webtest.Load(t, []*web.Module{&core.Module, keeper()}, "\nserver { client_body_temp_path no/such/dir; keep; }")
	if want := `/no/such/dir" failed (2: No such file or directory) in /test.conf:2`; err == nil || !strings.Contains(err.Error(), "mkdir() \"") ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want mkdir() …%s", err, want)
	}
	s := keep(t, "keep;", webtest.Prefix("/no/such/prefix"))
	if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(
		log,
		`[error] mkdir() "/no/such/prefix/client_body_temp" failed (2: No such file or directory); requests with bodies larger than`,
	) {
		t.Errorf("the log says %q", log)
	}
	if got := body(s.Send(post("Content-Length: 5", "hello"))); got != "memory: hello" {
		t.Errorf("%q", got)
	}
	for _, c := range []struct{ levels, want string }{
		{"0", "directive invalid value"}, {"4", "directive invalid value"}, {"3 3 3", ""}, {"x", "directive invalid value"},
	} {
		_, err := webtest.Load(t, []*web.Module{&core.Module, keeper()}, "server { client_body_temp_path bodies "+c.levels+"; }")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.levels, err, c.want)
		}
	}
}

// TestHalfABodyLeavesNothing: the file of a client that left is removed, whatever client_body_in_file_only says.
func TestHalfABodyLeavesNothing(t *testing.T) {
	s := keep(t, `location / { keep; client_body_in_file_only on; client_body_buffer_size 4k; }`)
	conn := s.DialLoopback()
	if _, err := conn.Write([]byte(post("Content-Length: 100000", strings.Repeat("x", 20000)))); err != nil {
		t.Fatal(err)
	}
	files := func() int {
		names, _ := filepath.Glob(filepath.Join(s.Plan.Prefix, "client_body_temp", "*"))
		return len(names)
	}
	testkit.Eventually(t, patience, func() error { return unless(files() == 1, "there is no file") })
	conn.Close()
	testkit.Eventually(t, patience, func() error { return unless(files() == 0 && web.SpooledBytes(s.Site) == 0, "the file is still there") })
}

func unless(ok bool, problem string) error {
	if ok {
		return nil
	}
	return errors.New(problem)
}

// TestBodiesOfStreams: the same over HTTP/2.
func TestBodiesOfStreams(t *testing.T) {
	s := keep(t, `http2 on; location / { keep; } location /only { keep; client_body_in_file_only clean; }`)
	client := http2Client(t, s, false)
	long := strings.Repeat("0123456789", 30000)
	for _, c := range []struct{ path, body, want string }{
		{"/", "hello", "200 memory: hello"},
		{"/", long, "200 file: " + long},
		{"/only", "hello", "200 named file: hello"},
	} {
		if got := ask(t, client, "POST", "http://a"+c.path, c.body); got != c.want {
			t.Errorf("%s with %d bytes: %.100q, want %.100q", c.path, len(c.body), got, c.want)
		}
	}
}

// TestReloadsShareTheBound: files of the old configuration's requests count for the new one.
func TestReloadsShareTheBound(t *testing.T) {
	first := keep(t, "keep;", func(p *plan.Plan) { web.LimitBodyFiles(p, 1000) })
	second := keep(t, "keep whole;", webtest.After(first))
	if got := second.Send(post("Content-Length: 50000", strings.Repeat("x", 50000))); !strings.HasPrefix(status(got), "503") {
		t.Errorf("%.100q", got)
	}
}

func TestAKeptBodyDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := keeper()
	var length atomic.Int64
	m.Handlers[0].Build = func(b *web.Block) (web.Handler, error) {
		answer := []byte("ok")
		return func(r *web.Request) web.Result {
			if err := r.KeepBody(false); err != nil || int64(len(r.KeptBody())) != length.Load() {
				t.Errorf("%d bytes were kept, not %d: %v", len(r.KeptBody()), length.Load(), err)
			}
			return r.Respond(200, "text/plain", answer)
		}, nil
	}
	s := webtest.Start(t, []*web.Module{&core.Module, m}, "server { keepalive_requests 1000000; client_body_buffer_size 64k; }")
	for _, bytes := range []int{5, 60_000} { // the longer is more than comes with the head, and so moves to blocks of its own
		length.Store(int64(bytes))
		body := strings.Repeat("x", bytes)
		for _, request := range []string{
			fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", bytes, body),
			fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", bytes, body),
		} {
			if n := s.Allocations(request); n > 0 {
				t.Errorf("%v allocations for %.80q", n, request)
			}
		}
	}
}
