package cycle_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Who knocks at the cluster's port without a certificate is told of once a minute, with the number of times at the
// minute's end or when the configuration goes.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	h, port := newHost(t), address(t)
	t.Cleanup(h.Stop)
	text := "stream { server { listen " + port + " ssl; ssl_certificate example.com.crt; ssl_certificate_key example.com.key; zone_sync; } }"
	h.run(text)
	for range 30 {
		conn := dial(t, port)
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		io.Copy(io.Discard, conn) // until it is closed, in whatever way
	}
	h.run(text)
	(&node{host: h}).waitForLog("[error]", "suppressed 29 similar messages in the last minute; the last one: ")
	if got := strings.Count(h.log(), "[error]"); got != 2 {
		t.Errorf("%d errors:\n%s", got, h.log())
	}
}
