package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"starling/lib/testkit"
)

// ZoneSync is the documented shape of /stream/zone_sync.
type ZoneSync struct {
	Zones map[string]struct {
		Pending int64 `json:"records_pending"`
		Total   int64 `json:"records_total"`
	} `json:"zones"`
	Status struct {
		BytesIn, MsgsIn, MsgsOut, BytesOut int64
		NodesOnline                        int64 `json:"nodes_online"`
	} `json:"status"`
}

// Status reads /stream/zone_sync of a node.
func (n *Node) Status() (ZoneSync, error) {
	var s ZoneSync
	r, err := n.Do("GET", "/api/9/stream/zone_sync", "")
	if err != nil {
		return s, err
	}
	if r.Status != 200 {
		return s, fmt.Errorf("zone_sync at %s: %d %s", n.Name, r.Status, r.Body)
	}
	return s, json.Unmarshal([]byte(r.Body), &s)
}

// ClusterView is the part of /stream/zone_sync/cluster that tests read.
type ClusterView struct {
	Ready bool `json:"ready"`
	Agree bool `json:"nodes_agree"`
	Zones map[string]struct {
		Pending int64 `json:"records_pending"`
		Total   int64 `json:"records_total"`
		Full    bool  `json:"full"`
	} `json:"zones"`
	Peers []struct {
		State     string `json:"state"`
		Pushing   bool   `json:"pushing"`
		Accepted  bool   `json:"accepted"`
		Teaching  bool   `json:"teaching"`
		LastError string `json:"last_error"`
		// Mismatches are the zones that are not shared with the peer, and why.
		Mismatches []string `json:"mismatches"`
		Digests    map[string]struct {
			State string `json:"state"`
			AgeMS int64  `json:"age_ms"`
		} `json:"digests"`
	} `json:"peers"`
	Deliveries struct {
		Waits    int `json:"waits"`
		Timeouts int `json:"timeouts"`
	} `json:"deliveries"`
}

// View reads /stream/zone_sync/cluster of a node.
func (n *Node) View() (ClusterView, error) {
	var v ClusterView
	r, err := n.Do("GET", "/api/9/stream/zone_sync/cluster", "")
	if err == nil {
		err = json.Unmarshal([]byte(r.Body), &v)
	}
	return v, err
}

// NamesUnshared waits until the log and the API of a node name a zone that it shares but a peer does not.
func (n *Node) NamesUnshared(zone string) {
	n.T.Helper()
	why := fmt.Sprintf("zone %q is shared on this node but not on the peer", zone)
	n.WaitLog(why)
	testkit.Eventually(n.T, Patience, func() error {
		v, err := n.View()
		if err != nil {
			return err
		}
		for _, p := range v.Peers {
			if slices.ContainsFunc(p.Mismatches, func(m string) bool { return strings.Contains(m, why) }) {
				return nil
			}
		}
		return fmt.Errorf("%s does not say %s: %+v", n.Name, why, v)
	})
}

// Pairs reads a whole key-value zone.
func (n *Node) Pairs(zone string) (map[string]string, error) {
	r, err := n.Do("GET", "/api/9/http/keyvals/"+zone, "")
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{}
	return pairs, json.Unmarshal([]byte(r.Body), &pairs)
}
