package upgrade

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/e2e/harness"
)

// load is what clients do while the binary is replaced. A client obeys "Connection: close" and opens another connection
// then; anything else that goes wrong is a failure.
type load struct {
	t       *testing.T
	n       *harness.Node
	stop    chan struct{}
	clients sync.WaitGroup

	requests, failures atomic.Int64
	limited            atomic.Int64 // requests that the limit let pass
	mu                 sync.Mutex
	pairs              map[string]string // acknowledged by the API
	sessions           map[string]string // the server of each
}

func newLoad(t *testing.T, n *harness.Node) *load {
	return &load{t: t, n: n, stop: make(chan struct{}), pairs: map[string]string{}, sessions: map[string]string{}}
}

func (l *load) fail(format string, args ...any) {
	if l.failures.Add(1) <= 10 {
		l.t.Errorf(format, args...)
	}
}

func (l *load) done() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// run starts a client that calls do, with a number of its own, until the load ends.
func (l *load) run(do func(i int) error) {
	l.clients.Go(func() {
		for i := 0; !l.done(); i++ {
			l.requests.Add(1)
			if err := do(i); err != nil {
				l.fail("request %d: %v", i, err)
			}
		}
	})
}

// end stops the clients and returns how many requests they made.
func (l *load) end() int64 {
	close(l.stop)
	l.clients.Wait()
	return l.requests.Load()
}

// keptAlive is a client of HTTP/1.1 on one connection after the other.
type keptAlive struct {
	address string
	conn    net.Conn
	r       *bufio.Reader
}

func (k *keptAlive) get(head string) (status int, body string, err error) {
	if k.conn == nil {
		if k.conn, err = net.DialTimeout("tcp", k.address, harness.Patience); err != nil {
			return 0, "", err
		}
		k.begin()
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if err := k.conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return 0, "", err
	}
	if _, err := io.WriteString(k.conn, head); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	if resp.Close {
		k.close()
	}
	return resp.StatusCode, string(text), err
}

func (k *keptAlive) begin() { k.r = bufio.NewReader(k.conn) }

func (k *keptAlive) close() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// learns makes new sessions over kept connections, and uses each once more.
func (l *load) learns(client int) {
	k := &keptAlive{address: l.n.IP + ":8080"}
	l.run(func(i int) error {
		name := fmt.Sprintf("load%d-%d", client, i)
		status, server, err := k.get("GET /?session=" + name + " HTTP/1.1\r\nHost: all\r\n\r\n")
		if err != nil || status != 200 {
			return fmt.Errorf("a new session: %d, %w", status, err)
		}
		l.mu.Lock()
		l.sessions[name] = server
		l.mu.Unlock()
		l.requests.Add(1)
		status, again, err := k.get("GET / HTTP/1.1\r\nHost: all\r\nCookie: session=" + name + "\r\n\r\n")
		if err != nil || status != 200 || again != server {
			return fmt.Errorf("session %s was at %q, then at %q: %d, %w", name, server, again, status, err)
		}
		return nil
	})
}

// counts makes requests that a limit counts.
func (l *load) counts() {
	k := &keptAlive{address: l.n.IP + ":8080"}
	l.run(func(int) error {
		status, _, err := k.get("GET /limited?who=load HTTP/1.1\r\nHost: all\r\n\r\n")
		if err != nil || status != 200 {
			return fmt.Errorf("a request within the limit: %d, %w", status, err)
		}
		l.limited.Add(1)
		return nil
	})
}

// connects makes a request on a new connection each.
func (l *load) connects() {
	l.run(func(int) error {
		r, err := l.n.Do("GET", "/text?text=none", "")
		if err != nil || r.Status != 200 {
			return fmt.Errorf("a new connection: %d, %w", r.Status, err)
		}
		return nil
	})
}

// writes sets pairs through the API.
func (l *load) writes(client int) {
	l.run(func(i int) error {
		key, value := fmt.Sprintf("k%d-%d", client, i%500), fmt.Sprint(i)
		method := "PATCH"
		l.mu.Lock()
		_, known := l.pairs[key]
		l.mu.Unlock()
		if !known {
			method = "POST"
		}
		r, err := l.n.Do(method, harness.SetOne, fmt.Sprintf("{%q:%q}", key, value))
		if err != nil || r.Status != 201 && r.Status != 204 {
			return fmt.Errorf("%s of %s: %d %s, %w", method, key, r.Status, r.Body, err)
		}
		l.mu.Lock()
		l.pairs[key] = value
		l.mu.Unlock()
		return nil
	})
}

// multiplexes makes requests over HTTP/2 and TLS.
func (l *load) multiplexes() {
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	for range 4 {
		l.run(func(int) error {
			resp, err := client.Get("https://" + l.n.IP + ":8443/text?text=none")
			if err != nil {
				return fmt.Errorf("HTTP/2: %w", err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
				return fmt.Errorf("HTTP/2: %d over %s, %w", resp.StatusCode, resp.Proto, err)
			}
			return nil
		})
	}
}

// streams sends lines over TCP connections.
func (l *load) streams() {
	l.run(func(i int) error {
		conn, err := net.DialTimeout("tcp", l.n.IP+":9200", harness.Patience)
		if err != nil {
			return fmt.Errorf("stream: %w", err)
		}
		defer conn.Close()
		for range 3 {
			if err := echoed(conn, fmt.Sprintln("line", i)); err != nil {
				return fmt.Errorf("stream: %w", err)
			}
		}
		return nil
	})
}

// echoed sends a line and wants it back.
func echoed(conn net.Conn, line string) error {
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != line {
		return fmt.Errorf("%q came back as %q", line, got)
	}
	return nil
}

// echoes is a server that sends back what it gets.
func echoes(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go func() {
					defer conn.Close()
					_, _ = io.Copy(conn, conn) // ends with the client
				}()
			}
		}
	}()
	return l.Addr().String()
}

// pipelined makes requests over some connections, without waiting for responses, and calls got with the number and the
// body of each.
func pipelined(n *harness.Node, count int, head func(i int) string, got func(i, status int, body string) error) error {
	const conns = 8
	var all sync.WaitGroup
	errs := make([]error, conns)
	for c := range conns {
		all.Go(func() { errs[c] = pipeline(n, c, conns, count, head, got) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func pipeline(n *harness.Node, first, step, count int, head func(int) string, got func(int, int, string) error) error {
	conn, err := n.Dial("8080")
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		w := bufio.NewWriter(conn)
		for i := first; i < count && ctx.Err() == nil; i += step {
			_, _ = w.WriteString(head(i)) // the reader sees the end
		}
		_ = w.Flush()
	}()
	r := bufio.NewReader(conn)
	for i := first; i < count; i += step {
		if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("response %d: %w", i, err)
		}
		var body strings.Builder
		if _, err := io.Copy(&body, resp.Body); err != nil {
			return err
		}
		if err := got(i, resp.StatusCode, body.String()); err != nil {
			return err
		}
	}
	return nil
}
