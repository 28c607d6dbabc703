package harness

import (
	"errors"
	"io"
	"net"
)

// The words of servers of streams: a check says AskedHealth and passes if the answer is SaysWell; all else is of
// clients.
const (
	AskedHealth = "check"
	SaysWell    = "well"
	saysIll     = "ill"
)

// CheckedStream starts servers of TCP connections or UDP datagrams. A client that says something gets the address of
// the server.
func (c *Cluster) CheckedStream(network string, hosts ...int) *Checked {
	c.T.Helper()
	return c.checkedStream(network, func(_ int, listen func() error) error { return listen() }, hosts)
}

// checkedStream starts servers; there runs a function on a host.
func (c *Cluster) checkedStream(network string, there func(int, func() error) error, hosts []int) *Checked {
	c.T.Helper()
	all := c.checked("stream")
	for _, host := range hosts {
		server := c.add(all, host)
		err := there(host, func() error {
			if network == "udp" {
				return all.listenUDP(server)
			}
			return all.listenTCP(server)
		})
		if err != nil {
			c.T.Fatal(err)
		}
	}
	return all
}

func (c *Checked) listenTCP(server string) error {
	l, err := net.Listen("tcp", server)
	if err != nil {
		return err
	}
	c.cl.T.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed above
			}
			go c.converse(server, conn)
		}
	}()
	return nil
}

// converse answers what a connection says until it ends.
func (c *Checked) converse(server string, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 64)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		answer := c.answer(server, conn.RemoteAddr().String(), string(buf[:n]))
		if answer == "" {
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func (c *Checked) listenUDP(server string) error {
	conn, err := net.ListenPacket("udp", server)
	if err != nil {
		return err
	}
	c.cl.T.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // of an earlier answer that nobody took
			}
			if answer := c.answer(server, from.String(), string(buf[:n])); answer != "" {
				_, _ = conn.WriteTo([]byte(answer), from) // nodes are killed
			}
		}
	}()
	return nil
}

// answer is what a server says to a node; nothing if it does not reach that.
func (c *Checked) answer(server, from, said string) string {
	ill, broken := c.note(server, from, said == AskedHealth)
	switch {
	case broken:
		return ""
	case said != AskedHealth:
		return server
	case ill:
		return saysIll
	}
	return SaysWell
}
