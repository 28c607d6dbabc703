package cycle

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"starling/admin"
	"starling/logs"
	"starling/modules/core"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
)

// echoes is a transport for tests: each datagram is a connection, and what is written to it goes back to the sender.
// Its listener notes who served the address when the datagram came.
type echoes struct {
	network   string
	handlerOf func(net.Addr) side.ConnHandler
}

func (e *echoes) Network() string { return e.network }

func (e *echoes) Listen(socket *net.UDPConn, handlerOf func(net.Addr) side.ConnHandler) (net.Listener, error) {
	e.handlerOf = handlerOf
	return &echoListener{UDPConn: socket}, nil
}

type echoListener struct{ *net.UDPConn }

func (l *echoListener) Addr() net.Addr { return l.LocalAddr() }

func (l *echoListener) Accept() (net.Conn, error) {
	_, from, err := l.ReadFromUDPAddrPort(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	return &echoConn{UDPConn: l.UDPConn, to: from}, nil
}

type echoConn struct {
	*net.UDPConn
	to netip.AddrPort
}

func (c *echoConn) Write(p []byte) (int, error) { return c.WriteToUDPAddrPort(p, c.to) }
func (c *echoConn) Close() error                { return nil }

// greeting is a site that says its name to each connection.
type greeting struct {
	*side.Gate[net.Conn]
	name string
	port side.Port
}

func newGreeting(name string, addr sockaddr.Addr, transport side.Transport) *greeting {
	g := &greeting{Gate: side.NewGate[net.Conn](nil), name: name}
	g.port = side.Port{Addr: addr, Transport: transport, ConnHandler: g}
	return g
}

func (g *greeting) Ports() []side.Port          { return []side.Port{g.port} }
func (g *greeting) Resources() []admin.Resource { return nil }
func (g *greeting) Resume()                     { g.Gate.Reopen(nil) }
func (g *greeting) Retire()                     { g.Gate.Retire(func(net.Conn, bool) {}) }
func (g *greeting) Close()                      { g.Gate.Close(func(net.Conn, bool) {}) }

func (g *greeting) Serve(conn net.Conn) {
	g.Expect()
	g.ServeExpected(conn)
}

func (g *greeting) ServeWithin(_ *side.Fence, conn net.Conn) { g.Serve(conn) }

func (g *greeting) ServeExpected(conn net.Conn) {
	g.Enter(conn)
	defer g.Leave(conn)
	io.WriteString(conn, g.name)
}

func cycleOf(t *testing.T, h *Host, sites ...side.Site) *Cycle {
	t.Helper()
	p := plan.New()
	p.Logs = h.files.Logs()
	log, err := p.Logs.ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "error.log"), Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	return &Cycle{Draft: &Draft{plan: p, Settings: new(core.Settings)}, log: log, sites: sites}
}

// TestATransportOutlivesConfigurations: its socket stays over a reload, and it finds who serves now.
func TestATransportOutlivesConfigurations(t *testing.T) {
	reserved, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := sockaddr.Addr{AddrPort: reserved.LocalAddr().(*net.UDPAddr).AddrPort()}
	reserved.Close()
	transport := &echoes{network: "echo"}
	h := NewHost(Options{}, logs.NewFiles("test"))
	var listening *listener
	for _, name := range []string{"first", "second"} {
		site := newGreeting(name, addr, transport)
		c := cycleOf(t, h, site)
		if err := h.Listen(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		if s := transport.handlerOf(net.UDPAddrFromAddrPort(addr.AddrPort)); name == "first" && s != nil {
			t.Errorf("%v serves before a configuration runs", s)
		}
		if err := h.Run(c); err != nil {
			t.Fatal(err)
		}
		if s := transport.handlerOf(net.UDPAddrFromAddrPort(addr.AddrPort)); s != side.ConnHandler(site) {
			t.Errorf("%v serves, not %s", s, name)
		}
		conn, err := net.Dial("udp4", addr.AddrPort.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 16)
		io.WriteString(conn, "?")
		if n, err := conn.Read(answer); err != nil || string(answer[:n]) != name {
			t.Errorf("%q, %v", answer[:n], err)
		}
		for _, l := range h.listeners {
			if listening != nil && l != listening {
				t.Error("the socket was bound anew")
			}
			listening = l
		}
	}
	h.Stop()
}

// TestTransportsDoNotShareAnAddress: the system has one kind of UDP socket, whatever is spoken over it. TCP is beside
// it.
func TestTransportsDoNotShareAnAddress(t *testing.T) {
	addr := sockaddr.Addr{AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}
	h := NewHost(Options{}, logs.NewFiles("test"))
	for _, key := range []socketKey{{addr: addr, network: "echo"}, {addr: addr}} {
		h.listeners[key] = &listener{key: key, socket: new(net.TCPListener)} // as if they were bound already
	}
	c := cycleOf(t, h, newGreeting("one", addr, &echoes{network: "echo"}), newGreeting("tcp", addr, nil))
	if err := h.Listen(context.Background(), c); err != nil {
		t.Error(err)
	}
	c.sites = append(c.sites, newGreeting("other", addr, &echoes{network: "other"}))
	if err := h.Listen(context.Background(), c); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}
