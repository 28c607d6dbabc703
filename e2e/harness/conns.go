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
