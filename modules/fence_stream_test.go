package modules_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"starling/lib/testkit"
	streamcore "starling/modules/stream/core"
	streamlimitconn "starling/modules/stream/limitconn"
	streampass "starling/modules/stream/pass"
	streamproxy "starling/modules/stream/proxy"
	streamupstream "starling/modules/stream/upstream"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// silentServer is a server that neither reads nor writes; the test gets its connections.
func silentServer(t *testing.T) (address string, arrived chan *webtest.Peer) {
	arrived = make(chan *webtest.Peer, 10)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return webtest.Serve(t, func(p *webtest.Peer) {
		arrived <- p
		<-over
	}).Addr, arrived
}

// TestAFenceEndsBothSides: when a node must end a session that a strict zone counts, its server has it no longer than
// its client.
func TestAFenceEndsBothSides(t *testing.T) {
	for _, x := range []struct {
		name, conf string
		bytes      int // that the client sends
	}{
		{"proxy_half_close", `server { listen 1; limit_conn conns 3; proxy_half_close on; proxy_pass ADDRESS; }`, 1},
		{"a server that does not read", `server { listen 1; limit_conn conns 3; proxy_half_close on; proxy_pass ADDRESS; }`, 32 << 20},
		{"pass", `server { listen 1; limit_conn conns 3; pass 127.0.0.1:2; }
			server { listen 127.0.0.1:2; proxy_half_close on; proxy_pass ADDRESS; }`, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			address, arrived := silentServer(t)
			s := streamtest.Start(t, `stream { limit_conn_zone $protocol zone=conns:32k sync strict; `+
				strings.ReplaceAll(x.conf, "ADDRESS", address)+` }`, nil, &streamcore.Module, &streamlimitconn.Module,
				&streamupstream.Module, &streamproxy.Module, &streampass.Module)
			gate := decideAlone(t, s.Plan)
			client := s.Dial(0)
			go client.Write(make([]byte, x.bytes))
			server := webtest.Receive(t, arrived)
			counted(t, gate, 1)
			fall(t, gate, 1)
			counted(t, gate, 0)
			if _, err := io.Copy(io.Discard, server.R); os.IsTimeout(err) {
				t.Error("the connection to the server is open")
			}
		})
	}
}

// TestAFenceEndsUDP: so does that of a session of datagrams.
func TestAFenceEndsUDP(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := streamtest.Start(t, `stream { limit_conn_zone $protocol zone=conns:32k sync strict;
		server { listen 1 udp; limit_conn conns 3; proxy_pass `+socket.LocalAddr().String()+`; } }`, nil, &streamcore.Module,
		&streamlimitconn.Module, &streamupstream.Module, &streamproxy.Module)
	gate := decideAlone(t, s.Plan)
	io.WriteString(s.Dial(0), "hello")
	from := make(chan net.Addr, 1)
	go func() {
		if _, addr, err := socket.ReadFrom(make([]byte, 100)); err == nil {
			from <- addr
		}
	}()
	addr := webtest.Receive(t, from)
	counted(t, gate, 1)
	fall(t, gate, 1)
	counted(t, gate, 0)
	testkit.Eventually(t, webtest.Patience, func() error { // its port is free
		again, err := net.ListenPacket("udp", addr.String())
		if err != nil {
			return fmt.Errorf("the session's socket is open: %w", err)
		}
		return again.Close()
	})
}
