package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is a number of keep-alive connections; each sends the next request after the previous answer.
type load struct {
	address     string
	connections int
	// tls, if set, wraps each connection.
	tls *tls.Config
	// request makes the bytes of the i-th request of a connection.
	request func(connection, i int) []byte
	// status is what every answer must have.
	status int
}

// run sends for d and returns how many requests were answered.
func (l load) run(d time.Duration) (int64, error) {
	var (
		done  atomic.Int64
		stop  atomic.Bool
		group sync.WaitGroup
		fail  atomic.Pointer[error]
	)
	for c := range l.connections {
		group.Go(func() {
			if err := l.connection(c, &done, &stop); err != nil {
				fail.CompareAndSwap(nil, &err)
			}
		})
	}
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	group.Wait()
	if err := fail.Load(); err != nil {
		return done.Load(), *err
	}
	return done.Load(), nil
}

func (l load) connection(c int, done *atomic.Int64, stop *atomic.Bool) error {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if l.tls != nil {
		conn = tls.Client(conn, l.tls)
	}
	want := []byte(strconv.Itoa(l.status))
	r := bufio.NewReaderSize(conn, 8192)
	for i := 0; !stop.Load(); i++ {
		if _, err := conn.Write(l.request(c, i)); err != nil {
			return err
		}
		if err := answer(r, want); err != nil {
			return fmt.Errorf("connection %d, request %d to %s: %w", c, i, l.address, err)
		}
		done.Add(1)
	}
	return nil
}

// answer reads one response with a Content-Length, as cheaply as a load generator must.
func answer(r *bufio.Reader, status []byte) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || !bytes.Equal(line[9:12], status) {
		return fmt.Errorf("answered %q, want status %s", line, status)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}

// same is a request that never changes.
func same(path string, headers ...string) func(int, int) []byte {
	text := "GET " + path + " HTTP/1.1\r\nHost: bench\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	out := []byte(text + "\r\n")
	return func(int, int) []byte { return out }
}

// backend answers every request with a body of bodyBytes, over connections that stay open.
func backend(address string, bodyBytes int) (io.Closer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	reply := fmt.Appendf(
		nil,
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nSet-Cookie: session=s\r\n\r\n",
		bodyBytes,
	)
	reply = append(reply, bytes.Repeat([]byte("x"), bodyBytes)...)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for held := 0; ; {
					n, err := conn.Read(buf[held:])
					if err != nil {
						return
					}
					held += n
					if !bytes.HasSuffix(buf[:held], []byte("\r\n\r\n")) {
						continue
					}
					held = 0
					if _, err := conn.Write(reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l, nil
}

// median of some values; the slice is sorted.
func median(v []float64) float64 {
	sort.Float64s(v)
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// percentile p (0..1) of sorted values.
func percentile(sorted []float64, p float64) float64 {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// client keeps its connections; for the API calls of the measurements.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// call sends one API request and returns the body.
func call(method, url, body string, want int) (string, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %d %s, want %d", method, url, resp.StatusCode, text, want)
	}
	return string(text), err
}
