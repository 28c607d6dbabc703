package webtest

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"
)

// Allocations is the average number of allocations of the whole process for one request on a kept connection. The
// test's own side makes none. The response must have a Content-Length.
func (s *Server) Allocations(raw string) float64 {
	s.t.Helper()
	conn := s.DialLoopback()
	conn.SetDeadline(time.Now().Add(Patience))
	request, reader := []byte(raw), bufio.NewReader(conn)
	// The first responses determine the length and fill the pools.
	length := 0
	for range 3 {
		if _, err := conn.Write(request); err != nil {
			s.t.Fatal(err)
		}
		counted := &countingReader{r: reader}
		response, err := http.ReadResponse(bufio.NewReaderSize(counted, 16), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			s.t.Fatal(err)
		}
		length = counted.n
	}
	buf := make([]byte, length)
	return testing.AllocsPerRun(200, func() {
		if _, err := conn.Write(request); err != nil {
			s.t.Fatal(err)
		}
		if _, err := io.ReadFull(reader, buf); err != nil {
			s.t.Fatal(err)
		}
	})
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
