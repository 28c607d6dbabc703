package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"starling/lib/testkit"
)

// Reply is the response to one request.
type Reply struct {
	Status int
	Body   string
	Header http.Header
}

// DialURL connects to the address of a URL, from the node's host.
func (n *Node) DialURL(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.there(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Do sends a request to the node's http port and reads the whole reply. headers are names and values in turn.
func (n *Node) Do(method, path, body string, headers ...string) (Reply, error) {
	url := path
	if strings.HasPrefix(path, "/") {
		url = "http://" + n.IP + ":8080" + path
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if strings.EqualFold(headers[i], "Host") {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{
		Timeout:       Patience,
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: n.DialURL},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, string(text), resp.Header}, err
}

// Must is do for requests whose transport may not fail.
func (n *Node) Must(method, path, body string, headers ...string) Reply {
	n.T.Helper()
	r, err := n.Do(method, path, body, headers...)
	if err != nil {
		n.T.Fatalf("%s %s at %s: %v\n%s", method, path, n.Name, err, n.Log())
	}
	return r
}

// Wants sends a request and compares status and body.
func (n *Node) Wants(status int, body, method, path, send string, headers ...string) {
	n.T.Helper()
	if r := n.Must(method, path, send, headers...); r.Status != status || body != "*" && r.Body != body {
		n.T.Errorf("%s %s at %s: %d %q, want %d %q", method, path, n.Name, r.Status, r.Body, status, body)
	}
}

// Sees waits until a GET of a path gives a body.
func (n *Node) Sees(path, body string) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		r, err := n.Do("GET", path, "")
		if err == nil && r.Body != body {
			err = fmt.Errorf("GET %s at %s: %d %q, want %q", path, n.Name, r.Status, r.Body, body)
		}
		return err
	})
}

// Pipeline sends count requests for a path on one connection without waiting, and counts the replies by status.
func (n *Node) Pipeline(path string, count int) (map[int]int, error) {
	conn, err := n.Dial("8080")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: all\r\n\r\n", count))
		sent <- err
	}()
	got, r := map[int]int{}, bufio.NewReader(conn)
	for i := range count {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return got, fmt.Errorf("reply %d of %d: %w", i+1, count, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return got, err
		}
		got[resp.StatusCode]++
	}
	return got, <-sent
}
