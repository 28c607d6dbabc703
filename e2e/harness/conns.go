package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"time"

	"starling/lib/testkit"
)

// StrictConns is the part of /starling/…/limit_conns that tests of strict limits of connections read.
type StrictConns struct {
	State            string   `json:"state"`
	Reason           string   `json:"reason"`
	Members          []string `json:"members"`
	Limit            int      `json:"limit"`
	NoLease          uint64   `json:"no_lease"`
	Ended            uint64   `json:"ended"`
	InFallback       bool     `json:"in_fallback"`
	FallbackAdmitted uint64   `json:"fallback_admitted"`
	Keys             []struct {
		Connections int            `json:"connections"`
		Slots       int            `json:"slots"`
		Owner       string         `json:"owner"`
		Holders     map[string]int `json:"holders"`
	} `json:"keys"`
}

// StrictConns reads what a node shows of a strict limit_conn_zone of a side.
func (n *Node) StrictConns(side, zone string) (StrictConns, error) {
	var shown struct{ Strict StrictConns }
	r, err := n.Do("GET", "/api/9/starling/"+side+"/limit_conns/"+zone, "")
	if err == nil {
		err = json.Unmarshal([]byte(r.Body), &shown)
	}
	return shown.Strict, err
}

// DecidesOnConns waits until a node decides on the connections of a strict zone, in a view of so many members.
func (n *Node) DecidesOnConns(side, zone string, members int) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		z, err := n.StrictConns(side, zone)
		if err == nil && (z.State != "member" || len(z.Members) != members) {
			err = fmt.Errorf("%s: %+v", n.Name, z)
		}
		return err
	})
}

// ClosedAt waits until the other side closes a connection.
func ClosedAt(conn net.Conn) time.Time {
	for b := make([]byte, 1<<10); ; {
		if _, err := conn.Read(b); err != nil {
			return time.Now()
		}
	}
}

// Held is a request that stays in progress, or a session that stays open.
type Held struct {
	net.Conn
	// Ended gets the time at which the other side closes the connection.
	Ended chan time.Time
}

// HoldStrict starts requests for /hang, or in stream sessions at port 8081, until a strict zone with one key counts so
// many more. Each may need a few attempts: a node waits for the owner of the key.
func (n *Node) HoldStrict(side, zone string, count int) (held []Held) {
	n.T.Helper()
	here := func() int {
		z, err := n.StrictConns(side, zone)
		if err != nil {
			n.T.Fatalf("%s: %v", n.Name, err)
		}
		if len(z.Keys) == 0 {
			return 0
		}
		return z.Keys[0].Connections
	}
	testkit.Eventually(n.T, Patience, func() error {
		for len(held) < count {
			before := here()
			h := Held{n.hold(side), make(chan time.Time, 1)}
			over := make(chan struct{})
			go func() {
				_, _ = h.Read(make([]byte, 1)) // returns with an answer, or at the end
				close(over)
				h.Ended <- ClosedAt(h.Conn)
			}()
			for here() == before {
				select {
				case <-over:
					h.Close()
					return fmt.Errorf("%s at %s rejects connection %d", side, n.Name, len(held)+1)
				default:
				}
			}
			held = append(held, h)
		}
		return nil
	})
	return held
}

// hold starts a request or a session.
func (n *Node) hold(side string) net.Conn {
	n.T.Helper()
	if side == "http" {
		return n.HoldRequest()
	}
	conn, err := n.Dial("8081")
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { conn.Close() })
	return conn
}
