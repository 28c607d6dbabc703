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

// Held is a request that stays in progress.
type Held struct {
	net.Conn
	// Ended gets the time at which the other side closes the connection.
	Ended chan time.Time
}

// HoldStrict starts requests for /hang until so many are in progress that a strict zone of http with one key counts.
// Each may need a few attempts: a node waits for the owner of the key.
func (n *Node) HoldStrict(zone string, count int) (held []Held) {
	n.T.Helper()
	here := func() int {
		z, err := n.StrictConns("http", zone)
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
			h := Held{n.HoldRequest(), make(chan time.Time, 1)}
			answered := make(chan struct{})
			go func() {
				if _, err := h.Read(make([]byte, 1)); err == nil {
					close(answered)
				}
				h.Ended <- ClosedAt(h.Conn)
			}()
			for here() == before {
				select {
				case <-answered:
					h.Close()
					return fmt.Errorf("%s rejects request %d", n.Name, len(held)+1)
				default:
				}
			}
			held = append(held, h)
		}
		return nil
	})
	return held
}
