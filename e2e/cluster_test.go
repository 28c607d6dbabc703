package e2e

import (
	"encoding/json"
	"fmt"

	"starling/lib/testkit"
)

// configureAll gives all nodes one configuration template.
func (c *cluster) configureAll(text string) {
	c.t.Helper()
	for _, n := range c.Nodes {
		n.configure(text)
	}
}

// start configures and starts all nodes and waits until each is connected to all others.
func (c *cluster) start(text string) {
	c.t.Helper()
	c.configureAll(text)
	for _, n := range c.Nodes {
		n.start()
	}
	c.joined(len(c.Nodes))
}

// zoneSync is the documented shape of /stream/zone_sync.
type zoneSync struct {
	Zones map[string]struct {
		Pending int64 `json:"records_pending"`
		Total   int64 `json:"records_total"`
	} `json:"zones"`
	Status struct {
		BytesIn, MsgsIn, MsgsOut, BytesOut int64
		NodesOnline                        int64 `json:"nodes_online"`
	} `json:"status"`
}

// status reads /stream/zone_sync of a node.
func (n *node) status() (zoneSync, error) {
	var s zoneSync
	r, err := n.do("GET", "/api/9/stream/zone_sync", "")
	if err != nil {
		return s, err
	}
	if r.status != 200 {
		return s, fmt.Errorf("zone_sync at %s: %d %s", n.Name, r.status, r.body)
	}
	return s, json.Unmarshal([]byte(r.body), &s)
}

// joined waits until every running node is connected to count-1 others.
func (c *cluster) joined(count int) {
	c.t.Helper()
	for _, n := range c.Nodes {
		if !n.running() {
			continue
		}
		testkit.Eventually(c.t, patience, func() error {
			s, err := n.status()
			if err == nil && s.Status.NodesOnline != int64(count-1) {
				err = fmt.Errorf("%s: nodes_online is %d, want %d", n.Name, s.Status.NodesOnline, count-1)
			}
			return err
		})
	}
}

// settled waits until no running node has a change that is not acknowledged by all others.
func (c *cluster) settled() {
	c.t.Helper()
	for _, n := range c.Nodes {
		if !n.running() {
			continue
		}
		testkit.Eventually(c.t, patience, func() error {
			s, err := n.status()
			for name, z := range s.Zones {
				if z.Pending != 0 {
					err = fmt.Errorf("%s: zone %s has %d records pending", n.Name, name, z.Pending)
				}
			}
			return err
		})
	}
}
