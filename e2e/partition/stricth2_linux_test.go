package partition

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
)

// h2Client is a client with one connection of HTTP/2 to a node.
type h2Client struct {
	node   *harness.Node
	client *http.Client
	dialed []*h2Conn
}

// h2Conn says when the other side has closed it.
type h2Conn struct {
	net.Conn
	ended chan time.Time
}

// Read is that of net.Conn.
func (c *h2Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		select {
		case c.ended <- time.Now():
		default:
		}
	}
	return n, err
}

func newH2Client(n *harness.Node) *h2Client {
	c := &h2Client{node: n}
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: c.dial}
	transport.Protocols.SetUnencryptedHTTP2(true)
	c.client = &http.Client{Transport: transport}
	n.T.Cleanup(transport.CloseIdleConnections)
	return c
}

func (c *h2Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.node.DialURL(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.node.T.Cleanup(func() { conn.Close() })
	c.dialed = append(c.dialed, &h2Conn{conn, make(chan time.Time, 1)})
	return c.dialed[len(c.dialed)-1], nil
}

// h2Answer is what became of a request.
type h2Answer struct {
	status int
	err    error
}

// start sends a request whose body does not end before stop is called.
func (c *h2Client) start(path string) (answer chan h2Answer, stop func()) {
	c.node.T.Helper()
	body, more := io.Pipe()
	c.node.T.Cleanup(func() { more.Close() })
	req, err := http.NewRequest("POST", "http://"+c.node.IP+":8080"+path, body)
	if err != nil {
		c.node.T.Fatal(err)
	}
	req.Host = "all"
	answer = make(chan h2Answer, 1)
	go func() {
		resp, err := c.client.Do(req)
		if err != nil {
			answer <- h2Answer{err: err}
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		answer <- h2Answer{resp.StatusCode, err}
	}()
	return answer, func() { more.Close() }
}

// TestAPartitionEndsStrictRequestsOfHTTP2: a node without a majority ends the connections of the requests that it counts,
// with all that goes on there, and no others. Only then the others have the places.
func TestAPartitionEndsStrictRequestsOfHTTP2(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strings.NewReplacer("server_name all;", "server_name all; http2 on;",
		"location /api", "location = /free { proxy_pass http://{{.IP}}:8080/api; } location /api").Replace(strictRequests))
	decideOnRequests(h.Nodes, 3)
	alone, others := h.Nodes[0], h.Nodes[1:]
	counted, free := newH2Client(alone), newH2Client(alone)
	var ends []chan h2Answer
	for i, path := range []string{"/hang", "/free", "/hang"} { // once the first is counted, its connection has the others
		answer, _ := counted.start(path)
		ends = append(ends, answer)
		countsRequests(alone, 1+i/2, 1+i/2)
	}
	spared, stop := free.start("/free")
	for i, n := range others {
		held := newH2Client(n)
		for range 2 {
			held.start("/hang")
		}
		countsRequests(n, 2*i+4, 2)
	}
	for _, n := range h.Nodes {
		if got, _ := newH2Client(n).start("/hang"); (<-got).status != 503 {
			t.Errorf("%s passes a request too many", n.Name)
		}
	}
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(others))
	more := newH2Client(others[0])
	admitted := beginUntil(others[0], 4, func() { more.start("/hang") })
	for i, answer := range ends {
		if got := <-answer; got.err == nil {
			t.Errorf("request %d of the connection that is ended is answered with %d", i, got.status)
		}
	}
	if len(counted.dialed) != 1 {
		t.Fatalf("there were %d connections", len(counted.dialed))
	}
	if at := <-counted.dialed[0].ended; at.After(admitted) {
		t.Errorf("the connection of the node without a majority ended %v too late", at.Sub(admitted))
	} else {
		t.Logf("ended %v before the others had the places", admitted.Sub(at))
	}
	if z, err := alone.StrictConns("http", "requests"); err != nil || z.Ended != 2 {
		t.Errorf("%s has ended %d requests, %v", alone.Name, z.Ended, err)
	}
	if got, _ := counted.start("/hang"); (<-got).status != 503 {
		t.Error("a node without a majority passes a request")
	}
	stop()
	if got := <-spared; got.err != nil || len(free.dialed) != 1 {
		t.Errorf("a connection without a counted request is ended: %v, %d connections", got.err, len(free.dialed))
	}
	h.Network.Heal()
	decideOnRequests(h.Nodes, 3)
	if got, _ := newH2Client(alone).start("/hang"); (<-got).status != 503 {
		t.Error("a node that is back passes a request too many")
	}
}
