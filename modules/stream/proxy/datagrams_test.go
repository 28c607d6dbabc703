package proxy_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// datagramBackend answers each datagram that says N with N datagrams.
func datagramBackend(t *testing.T) (address string) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			_, port, _ := net.SplitHostPort(from.String())
			for i := 0; n > 0 && i < int(buf[0]-'0'); i++ {
				socket.WriteTo([]byte(port), from)
			}
		}
	}()
	return socket.LocalAddr().String()
}

// hear reads a datagram.
func hear(t *testing.T, conn net.Conn) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestDatagramSessionsEndWithTheirResponses(t *testing.T) {
	s := start(
		t,
		`server { listen 1 udp; proxy_pass ADDRESS; proxy_responses 2; record "$status $protocol $upstream_bytes_sent $bytes_sent"; }`,
		datagramBackend(t),
	)
	conn := s.Dial(0)
	say(t, conn, "2")
	first := hear(t, conn)
	if second := hear(t, conn); second != first {
		t.Errorf("one session comes from %s and %s", first, second)
	}
	if got, want := s.next(), "200 UDP 1 10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	say(t, conn, "2") // begins another
	hear(t, conn)
	hear(t, conn)
	s.next()
}

func TestDatagramsOfAClientAreOneSession(t *testing.T) {
	s := start(t, "server { listen 1 udp; proxy_pass ADDRESS; }", datagramBackend(t))
	one, two := s.Dial(0), s.Dial(0)
	say(t, one, "1")
	say(t, two, "1")
	first, second := hear(t, one), hear(t, two)
	if first == second {
		t.Error("two clients share a session")
	}
	say(t, one, "1")
	if again := hear(t, one); again != first {
		t.Errorf("the session moved from %s to %s", first, again)
	}
	s.Site.Retire()
	if got := s.next() + s.next(); got != "200200" {
		t.Errorf("statuses at the end %s", got)
	}
	<-s.Site.Drained()
	s.logged("disconnected on shutdown")
}

func TestRequestsOfASession(t *testing.T) {
	s := start(t, "server { listen 1 udp; proxy_pass ADDRESS; proxy_requests 2; proxy_responses 1; }", datagramBackend(t))
	conn := s.Dial(0)
	for range 5 { // at once: those that wait when a session has its two belong to the next one
		say(t, conn, "1")
	}
	ports := map[string]int{}
	for range 5 {
		ports[hear(t, conn)]++
	}
	if len(ports) != 3 {
		t.Errorf("%d sessions: %v", len(ports), ports)
	}
}

func TestDatagramTimeouts(t *testing.T) {
	for _, c := range []struct{ settings, status, log string }{
		{"", "200", "udp timed out, packets from/to client:1/0"},
		{"proxy_responses 1;", "502", "[error] *1 upstream timed out (110: Connection timed out) while proxying connection, udp client: 127.0.0.1"},
	} {
		s := start(t, "server { listen 1 udp; proxy_pass ADDRESS; proxy_timeout 20ms; "+c.settings+" }", datagramBackend(t))
		say(t, s.Dial(0), "0")
		if got := s.next(); got != c.status {
			t.Errorf("%s: status %s", c.settings, got)
		}
		s.logged(c.log)
	}
}

func TestNobodyHearsDatagrams(t *testing.T) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
	s := start(t, "server { listen 1 udp; proxy_pass ADDRESS; }", socket.LocalAddr().String())
	say(t, s.Dial(0), "1")
	if got := s.next(); got != "502" {
		t.Errorf("status %s", got)
	}
	s.logged("recv() failed (111: Connection refused) while proxying connection")
}

// TestQuietSessionsGoOn: their goroutines end and begin again, whoever speaks.
func TestQuietSessionsGoOn(t *testing.T) {
	for _, retired := range []bool{false, true} { // a site that is empty watches no sockets: each session does so itself
		s := start(t, `server { listen 1 udp; proxy_pass ADDRESS; record "$upstream_bytes_sent $upstream_bytes_received"; }`, datagramBackend(t))
		if retired {
			s.Site.Retire()
			<-s.Site.Drained()
		}
		const clients, rounds = 30, 30
		var all sync.WaitGroup
		for range clients {
			conn := s.Dial(0)
			all.Go(func() {
				for range rounds {
					for _, n := range []int{1, 3} {
						if _, err := fmt.Fprint(conn, n); err != nil {
							t.Error(err)
							return
						}
						for range n {
							if _, err := conn.Read(make([]byte, 100)); err != nil {
								t.Error(err)
								return
							}
						}
					}
				}
			})
		}
		all.Wait()
		s.Site.Retire()
		for range clients {
			want := fmt.Sprintf("%d %d", 2*rounds, 4*rounds*len("12345"))
			if got := s.next(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

// TestAPacedSessionEndsWithItsConfiguration: its next datagram would be due in 15 minutes.
func TestAPacedSessionEndsWithItsConfiguration(t *testing.T) {
	s := start(t, "server { listen 1 udp; proxy_pass ADDRESS; proxy_upload_rate 1; }", datagramBackend(t))
	conn := s.Dial(0)
	say(t, conn, "1"+strings.Repeat("x", 1000))
	hear(t, conn)
	say(t, conn, "1")
	s.Site.Retire()
	if got := s.next(); got != "200" { // what waited in it begins another session
		t.Errorf("status %s", got)
	}
}
