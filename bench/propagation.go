package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// samples is how many keys are followed from one node to the other.
const samples = 2000

// The two nodes of the measurements between nodes.
const (
	nodeA     = "127.0.0.1:19203"
	nodeASync = "127.0.0.1:19303"
	nodeB     = "127.0.0.1:19204"
	nodeBSync = "127.0.0.1:19304"
)

// pair starts two nodes, each on a core of its own, and waits until they are connected.
func (b *bench) pair(server string) (done func(), err error) {
	conf := func(at, sync string) string {
		text := clusterConf(at, sync, [2]string{nodeASync, nodeBSync})
		return strings.Replace(text, "zone_sync;", "zone_sync; "+server, 1)
	}
	a, err := b.starling("a", conf(nodeA, nodeASync), measuredCore, nodeA)
	if err != nil {
		return nil, err
	}
	c, err := b.starling("b", conf(nodeB, nodeBSync), otherCore, nodeB)
	if err != nil {
		a.stop()
		return nil, err
	}
	done = func() { a.stop(); c.stop() }
	deadline := time.Now().Add(startupLimit)
	for _, at := range []string{nodeA, nodeB} {
		for online(at) != 1 {
			if time.Now().After(deadline) {
				done()
				return nil, fmt.Errorf("the nodes did not meet:\n%s\n%s", a.said.String(), c.said.String())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return done, nil
}

// online is nodes_online of a node, or -1.
func online(at string) int {
	text, err := call("GET", "http://"+at+"/api/9/stream/zone_sync", "", http.StatusOK)
	var s struct {
		Status struct {
			Online int `json:"nodes_online"`
		} `json:"status"`
	}
	if err != nil || json.Unmarshal([]byte(text), &s) != nil {
		return -1
	}
	return s.Status.Online
}

// propagation follows keys from one idle node to the other, with and without zone_sync_interval written out.
// The clock runs from before the write is sent until a read on the other node has come back with the value.
func (b *bench) propagation() error {
	if err := keepOff(); err != nil {
		return err
	}
	for _, c := range []struct{ name, line string }{{"", ""}, {", zone_sync_interval 1s", "zone_sync_interval 1s;"}} {
		done, err := b.pair(c.line)
		if err != nil {
			return err
		}
		ms, err := follow()
		done()
		if err != nil {
			return err
		}
		sort.Float64s(ms)
		b.report.add("propagation idle, write sent to read back, ms p50"+c.name, percentile(ms, 0.5))
		b.report.add("propagation idle, write sent to read back, ms p99"+c.name, percentile(ms, 0.99))
		b.report.add("propagation idle, write sent to read back, ms max"+c.name, ms[len(ms)-1])
	}
	return nil
}

// follow sets keys on A one after the other and reads each on B until it is there.
func follow() ([]float64, error) {
	a, err := dialled(nodeA)
	if err != nil {
		return nil, err
	}
	defer a.conn.Close()
	b, err := dialled(nodeB)
	if err != nil {
		return nil, err
	}
	defer b.conn.Close()
	ms := make([]float64, 0, samples)
	for i := range samples {
		body := fmt.Sprintf(`{"k%d":"v%d"}`, i, i)
		begin := time.Now()
		if status, text, err := a.roundTrip("POST", "/api/9/http/keyvals/one", body); err != nil ||
			status != http.StatusCreated {
			return nil, fmt.Errorf("setting a key: %d %s %v", status, text, err)
		}
		want := "v" + strconv.Itoa(i)
		for {
			_, text, err := b.roundTrip("GET", "/text?text=k"+strconv.Itoa(i), "")
			if err != nil {
				return nil, err
			}
			if text == want {
				break
			}
			if time.Since(begin) > startupLimit {
				return nil, fmt.Errorf("key k%d did not arrive", i)
			}
		}
		ms = append(ms, float64(time.Since(begin).Microseconds())/1000)
		// The next write comes to a quiet node: that is what idle means.
		time.Sleep(2 * time.Millisecond)
	}
	return ms, nil
}

// line is one kept connection that is written and read by hand, so that the client adds little.
type line struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialled(at string) (*line, error) {
	conn, err := net.Dial("tcp", at)
	if err != nil {
		return nil, err
	}
	return &line{conn, bufio.NewReader(conn)}, nil
}

// roundTrip sends one request and reads its answer.
func (l *line) roundTrip(method, path, body string, headers ...string) (status int, text string, err error) {
	const request = "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n%s\r\n%s"
	more := ""
	for _, h := range headers {
		more += h + "\r\n"
	}
	if _, err := fmt.Fprintf(l.conn, request, method, path, len(body), more, body); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return 0, "", err
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	return resp.StatusCode, string(all), resp.Body.Close()
}
