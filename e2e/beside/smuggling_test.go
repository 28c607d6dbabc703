package beside

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
)

// smuggling is one way to make two readers disagree where a request ends. In raw, BAIT stands for a request to
// /smuggled-N.
type smuggling struct {
	name, raw string
	// want are the statuses of starling's answers until it closes.
	want []int
	// pipelined says that the bait is a request of its own by all rules: it may be served.
	pipelined bool
}

const bait = "GET /smuggled-N HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// smugglings are probes from the literature on request smuggling (Watchfire 2005, Kettle 2019 and after) and from RFC
// 9112, 11.2.
var smugglings = []smuggling{
	{"length and chunks", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"chunks and length", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"two lengths, different", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nBAIT", []int{400}, false},
	{"two lengths, equal", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\nBAIT", []int{400}, false},
	{"a list of lengths", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\nBAIT", []int{400}, false},
	{"a length with a sign", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\nBAIT", []int{400}, false},
	{"a negative length", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nBAIT", []int{400}, false},
	{"a length in hex", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\nBAIT", []int{400}, false},
	{"a length past 64 bits", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\nBAIT", []int{400}, false},
	{"an empty length", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nBAIT", []int{400}, false},
	{"a length with a space in it", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0 5\r\n\r\nBAIT", []int{400}, false},
	{"a space before the colon of the length", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nBAIT", []int{400}, false},
	{"a tab before the colon of chunks", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"chunks twice", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"chunks and another coding", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nBAIT", []int{501}, false},
	{"another coding and chunks", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\nBAIT", []int{501}, false},
	{"an unknown coding", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nBAIT", []int{501}, false},
	{"a quoted coding", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\nBAIT", []int{501}, false},
	{"a coding after a vertical tab", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"chunks in HTTP/1.0", "POST /p-N HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"a folded coding", "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nBAIT", []int{400}, false},
	{"a folded header", "GET /p-N HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Content-Length: 60\r\n\r\nBAIT", []int{400}, false},
	{"a header before the first that is folded", "GET /p-N HTTP/1.1\r\n Host: y\r\nHost: x\r\n\r\nBAIT", []int{400}, false},
	{"a bare CR ends a line", "POST /p-N HTTP/1.1\r\nHost: x\r\nX-A: b\rContent-Length: 60\r\n\r\nBAIT", []int{400}, false},
	{"a bare CR in the request line", "GET /p-N HTTP/1.1\rHost: x\r\nHost: x\r\n\r\nBAIT", []int{400}, false},
	{"CR CR LF", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\r\n\r\nBAIT", []int{400}, false},
	{"NUL in a value", "GET /p-N HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\nBAIT", []int{400}, false},
	{"NUL in a name", "GET /p-N HTTP/1.1\r\nHost: x\r\nX\x00A: b\r\n\r\nBAIT", []int{400}, false},
	{"no colon", "GET /p-N HTTP/1.1\r\nHost: x\r\nContent-Length 60\r\n\r\nBAIT", []int{400}, false},
	{"two Hosts", "GET /p-N HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\nBAIT", []int{400}, false},
	{"no Host", "GET /p-N HTTP/1.1\r\n\r\nBAIT", []int{400}, false},
	{"a chunk size with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk size with a sign", chunked("+3\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a negative chunk size", chunked("-3\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"an empty chunk size", chunked("\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk size past 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk size with a space before it", chunked(" 3\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk size ended by LF", chunked("3\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk size ended by CR", chunked("3\rabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk longer than its size", chunked("3\r\nabcd\r\n0\r\n\r\n"), []int{400}, false},
	{"a chunk without its end", chunked("3\r\nabc0\r\n\r\n"), []int{400}, false},
	{"a line feed in a chunk's extension", chunked("3;a=\nb\r\nabc\r\n0\r\n\r\n"), []int{400}, false},
	{"a trailer that is folded", chunked("0\r\nX-A: b\r\n c\r\n\r\n"), []int{400}, false},
	{"a trailer without a colon", chunked("0\r\nX-A\r\n\r\n"), []int{400}, false},
	{"HTTP/1.1 with more", "GET /p-N HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\nBAIT", []int{400}, false},
	{"HTTP/2.0 by name", "GET /p-N HTTP/2.0\r\nHost: x\r\n\r\nBAIT", []int{505}, false},
	{"a length that is met exactly", "POST /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcBAIT", []int{200, 200}, true},
	{"chunks that end", chunked("3;a=b\r\nabc\r\n0\r\nX-A: b\r\n\r\n"), []int{200, 200}, true},
	{"a GET with a body", "GET /p-N HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcBAIT", []int{200, 200}, true},
	{"the next request early", "GET /p-N HTTP/1.1\r\nHost: x\r\n\r\nBAIT", []int{200, 200}, true},
	{"nothing after close", "GET /p-N HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nBAIT", []int{200}, false},
}

// chunked is a request with a body of these chunks, and the bait behind it.
func chunked(body string) string {
	return "POST /p-N HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + "BAIT"
}

// smugglingConf proxies everything over kept connections. %[1]s is the folder of the socket, %[2]s the backend.
const smugglingConf = `daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr emerg;
events { }
http {
	access_log off;
	keepalive_timeout 1s; client_header_timeout 2s; client_body_timeout 2s;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream backend { server %[2]s; keepalive 4; }
	server {
		listen unix:%[1]s/socket;
		location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering %[3]s; }
	}
}
`

// witness is a backend that remembers what it was asked for.
type witness struct {
	mu   sync.Mutex
	seen map[string]int
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // a body that was broken off on the way
	}
	w.mu.Lock()
	w.seen[r.URL.Path]++
	w.mu.Unlock()
	fmt.Fprint(rw, "ok")
}

func (w *witness) saw(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[path]
}

// startWitness serves until the test ends.
func startWitness(t *testing.T) (*witness, string) {
	t.Helper()
	w := &witness{seen: make(map[string]int)}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return w, srv.Listener.Addr().String()
}

// statuses reads the answers of a connection until its end. Refusals to what is not understood may come as a bare page.
func statuses(text string) (list []int, err error) {
	r := bufio.NewReader(strings.NewReader(text))
	for {
		if page, err := r.Peek(6); err == nil && string(page) == "<html>" {
			var status int
			_, err := fmt.Sscanf(text[strings.Index(text, "<title>"):], "<title>%d", &status)
			return append(list, status), err
		}
		resp, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return list, err
		}
		list = append(list, resp.StatusCode)
	}
}

// TestRequestSmugglingIsRefused: each probe gets its status, the connection ends there, and the backend never sees the
// request that was hidden. What nginx refuses is refused. Bodies are tried read whole before they are sent on, and
// passed through.
func TestRequestSmugglingIsRefused(t *testing.T) {
	for _, buffering := range []string{"on", "off"} {
		t.Run("proxy_request_buffering "+buffering, func(t *testing.T) {
			t.Parallel()
			ourBackend, address := startWitness(t)
			ours := besideWith(t, harness.Binary, func(dir string) string { return fmt.Sprintf(smugglingConf, dir, address, buffering) })
			var theirs string
			if nginx, err := exec.LookPath("nginx"); err == nil {
				_, address := startWitness(t)
				theirs = besideWith(t, nginx, func(dir string) string { return fmt.Sprintf(smugglingConf, dir, address, buffering) })
			} else {
				t.Log("no nginx here to compare with")
			}
			var probes sync.WaitGroup
			for i, p := range smugglings {
				probes.Go(func() { p.probe(t, i, ours, theirs, ourBackend) })
			}
			probes.Wait()
		})
	}
}

func (p *smuggling) probe(t *testing.T, number int, ours, theirs string, backend *witness) {
	raw := strings.ReplaceAll(p.raw, "BAIT", bait)
	raw = strings.ReplaceAll(raw, "-N", fmt.Sprintf("-%d", number))
	got, err := roundTrip(ours, raw)
	if err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
	list, err := statuses(got)
	if err != nil || !slices.Equal(list, p.want) {
		t.Errorf("%s: %v (%v), want %v\n%q\n%q", p.name, list, err, p.want, raw, got)
	}
	if saw := backend.saw(fmt.Sprintf("/smuggled-%d", number)); saw > 0 && !p.pipelined {
		t.Errorf("%s: the backend saw the hidden request: %q", p.name, raw)
	}
	if p.want[0] >= 400 && backend.saw(fmt.Sprintf("/p-%d", number)) > 0 {
		t.Errorf("%s: the backend was given a whole request for one that was refused: %q", p.name, raw)
	}
	if theirs == "" {
		return
	}
	if got, err = roundTrip(theirs, raw); err != nil {
		t.Logf("%s: nginx: %v", p.name, err)
	}
	strict, err := statuses(got)
	if err != nil || len(strict) == 0 {
		t.Logf("%s: nginx answers %q (%v)", p.name, got, err)
		return
	}
	if strict[0] >= 400 && list[0] < 400 {
		t.Errorf("%s: nginx refuses with %v, we answer %v: %q", p.name, strict, list, raw)
	}
	if !slices.Equal(strict, list) {
		t.Logf("%s: we %v, nginx %v", p.name, list, strict)
	}
}
