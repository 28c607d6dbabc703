package cluster

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sort"

	"starling/lib/clock"
	"starling/zone"
)

// Status is the node's view of the cluster: NGINX's zone_sync object plus Starling's own fields.
type Status struct {
	Zones map[string]ZoneStatus `json:"zones"`
	Node  NodeStatus            `json:"status"`
	// Updates are the frames to peers that have records.
	Updates UpdateStatus `json:"updates"`
	// Deliveries count the answers to clients that waited for peers to have a change.
	Deliveries DeliveryStatus `json:"deliveries"`
	// Questions count records that a client named and a node asked its peers for.
	Questions QuestionStatus `json:"questions"`
	// NodeID, Cluster, Ready, OffsetMS and Peers are starling's own.
	NodeID    string `json:"node_id"`
	Cluster   string `json:"cluster,omitempty"`
	Ready     bool   `json:"ready"`
	Agreement string `json:"agreement"` // the worst of all zones, "unknown" where members are not connected
	// Agree means that every member is connected, shares every zone, and agrees if it can be compared.
	Agree    bool         `json:"nodes_agree"`
	OffsetMS int64        `json:"clock_offset_ms"` // cluster time minus the local clock
	Peers    []PeerStatus `json:"peers"`
}

// ZoneStatus is one shared zone.
type ZoneStatus struct {
	RecordsPending int64 `json:"records_pending"`
	RecordsTotal   int64 `json:"records_total"`
	Ready          bool  `json:"ready"`
	// SyncedShards is how far the initial sync has come, of 256.
	SyncedShards int `json:"synced_shards"`
	// Digest is a digest of the records, the same on nodes that hold the same; limits have none.
	Digest string `json:"digest,omitempty"`
	// Agreement is the worst of all members': see Agreement.State. It is "unknown" while one is not connected, and
	// "alone" if there is none.
	Agreement string `json:"agreement,omitempty"`
	// Strict is how the members agree on limits that are never exceeded: by views. Nil for other zones.
	Strict *StrictZone `json:"strict,omitempty"`
	// RecordBytes and TombstoneBytes are the memory of the zone's records, and of the Tombstones of deleted ones.
	// Records evict tombstones. GaveUp are those evicted before the end of their lifetime; members that were away since
	// learn those deletions in another way.
	RecordBytes    int64 `json:"record_bytes"`
	Tombstones     int64 `json:"tombstones"`
	TombstoneBytes int64 `json:"tombstone_bytes"`
	GaveUp         int64 `json:"tombstones_given_up"`
	// Full means that the zone rejects writes, its own or those of peers, now; or has evicted records.
	Full      bool  `json:"full"`
	Evicted   int64 `json:"evicted"`
	Refused   int64 `json:"refused"`
	Won       int64 `json:"conflicts_won"`
	Lost      int64 `json:"conflicts_lost"`
	Forfeited int64 `json:"forfeited_millirequests"`
	// Ahead are records rejected for stamps too far in the future.
	Ahead int64 `json:"refused_stamps"`
	// Changes counts the changes of the content, made here or by peers. Limits have none.
	Changes uint64 `json:"changes"`
	// Repairs changed something; Repaired and RepairSent are the records received and sent by them.
	Repairs    int64 `json:"repairs"`
	Repaired   int64 `json:"records_repaired"`
	RepairSent int64 `json:"records_repair_sent"`
}

// StrictZone is a zone whose limit is never exceeded, as this node sees it.
type StrictZone struct {
	// State is "member", "waiting", "additive" or "closed"; Reason says why it is one of the last two.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// View is the number of the agreed list of the nodes that decide, Members are these. Configured is how many members
	// the configuration lists: all of them, if the nodes agree.
	View       uint64   `json:"view"`
	Members    []string `json:"members"`
	Configured int      `json:"configured"`
	// KeysHeld are those of whose limit this node holds a part, KeysOwned those that it distributes.
	KeysHeld  int `json:"keys_held"`
	KeysOwned int `json:"keys_owned"`
}

// UpdateStatus counts the frames to peers that have records: no heartbeats, acknowledgements or comparisons.
type UpdateStatus struct {
	MsgsOut  int64 `json:"msgs_out"`
	BytesOut int64 `json:"bytes_out"`
}

// NodeStatus counts connections, and all frames from and to peers, including heartbeats.
type NodeStatus struct {
	BytesIn     int64 `json:"bytes_in"`
	MsgsIn      int64 `json:"msgs_in"`
	MsgsOut     int64 `json:"msgs_out"`
	BytesOut    int64 `json:"bytes_out"`
	NodesOnline int64 `json:"nodes_online"`
}

// PeerStatus is one other node.
type PeerStatus struct {
	NodeID string `json:"node_id"`
	// State is "connected" in both directions, "pushing" or "accepted" in one only, "lost", or "replaced": it is gone
	// for good, because another node answers at its address, or because it was an earlier process of this one.
	State string `json:"state"`
	// Pushing and Accepted report whether the connection to and from the peer is established.
	Pushing  bool   `json:"pushing"`
	Accepted bool   `json:"accepted"`
	Address  string `json:"address,omitempty"`      // dialled
	From     string `json:"from_address,omitempty"` // of its own connection
	Version  uint64 `json:"protocol_version"`
	RTTMS    int64  `json:"rtt_ms"`
	OffsetMS int64  `json:"clock_offset_ms"` // the peer's clock minus the local one
	// ClockRefused means that the peer's clock is too far from cluster time to be followed.
	ClockRefused bool  `json:"clock_refused"`
	LagMS        int64 `json:"lag_ms"` // age of the oldest frame not acknowledged
	Pending      int64 `json:"records_pending"`
	Teaching     bool  `json:"teaching"`
	// LeftOut means that answers to clients do not wait for the peer, because it acknowledged too late.
	LeftOut bool `json:"left_out"`
	// LastError is why the last connection was lost; it is kept after the next one is established. Losses counts them.
	LastError string `json:"last_error,omitempty"`
	Losses    int64  `json:"connections_lost"`
	// Mismatches are zones that cannot be shared with the peer, and why.
	Mismatches []string `json:"mismatches,omitempty"`
	// Digests is, per zone, how this node's records compare with those that the peer last described.
	Digests map[string]Agreement `json:"digests,omitempty"`
}

// Agreement is the last comparison of one zone with one peer.
type Agreement struct {
	// State is "agree", "differ", "full, not comparable" if one of the two zones has evicted or rejected records, or
	// "unknown": not compared since the last write here, or in the last round, or the peer has been silent for two
	// heartbeats. Limits and counts of connections have no digests: "agree" means that this node has all that the peer
	// told, "unknown" that it is being told the rest.
	State string `json:"state"`
	// DifferingShards of 256; a few are normal while records are in flight. Of limits and counts those of which this
	// node lacks something.
	DifferingShards int `json:"differing_shards"`
	// FreshRecords were in flight at the last comparison of the records themselves.
	FreshRecords int   `json:"fresh_records"`
	AgeMS        int64 `json:"age_ms"`
	// Rejected is why one of the two nodes rejected records of the other since they last agreed.
	Rejected string `json:"rejected,omitempty"`
	// RepairPauseMS is how long this node waits before it repairs again, because repairs change nothing.
	RepairPauseMS int64 `json:"repair_pause_ms,omitempty"`
}

// Status describes the node at a moment.
func (n *Node) Status(now clock.Reading) Status {
	table := n.table.Load()
	out := Status{
		Zones: make(map[string]ZoneStatus, len(table.list)), NodeID: n.id.String(), Cluster: *n.cluster.Load(),
		Ready: n.Ready(), OffsetMS: n.clocks.clusterTime(now).WallMS - now.WallMS, Peers: []PeerStatus{},
		Deliveries: n.delivered.status(), Questions: n.questions.status(),
		Updates: UpdateStatus{n.traffic.updates.Load(), n.traffic.updateBytes.Load()},
		Node: NodeStatus{
			BytesIn: n.traffic.bytesIn.Load(), MsgsIn: n.traffic.msgsIn.Load(),
			MsgsOut: n.traffic.msgsOut.Load(), BytesOut: n.traffic.bytesOut.Load(),
		},
	}
	pushes := make(map[NodeID]pushStatus)
	slowest := make(map[string]int64)
	heard := make(map[NodeID]*hearing)
	for _, s := range n.all() {
		s.hear(heard, now)
		if status, ok := s.pushStatus(now); ok {
			pushes[status.peer] = status
			for zone, pending := range status.pending {
				slowest[zone] = max(slowest[zone], pending)
			}
			out.Node.NodesOnline++
		}
	}
	shown := make(map[string]*shownZone, len(table.list))
	for _, z := range table.list {
		stats := z.shared.Stats()
		out.Zones[z.info.Name] = z.status(stats, slowest[z.info.Name])
		if _, compared := z.shared.(zone.Comparable); !compared {
			shown[z.info.Name] = &shownZone{counts: true}
			continue
		}
		mine, ok := contentOf(z, new([zone.Shards]uint64))
		shown[z.info.Name] = &shownZone{content: mine, full: !ok}
	}
	replaced := n.replaced()
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.peers {
		status := p.status(shown, heard[id], now)
		push, pushing := pushes[id]
		status.Pushing, status.Teaching, status.LagMS = pushing, push.teaching, push.lagMS
		status.LeftOut = push.leftOut
		status.State = connectedState(pushing, status.Accepted)
		if status.State == lost && (replaced[id] || p.sibling) {
			status.State = "replaced"
		}
		for _, pending := range push.pending {
			status.Pending += pending
		}
		out.Peers = append(out.Peers, status)
	}
	sort.Slice(out.Peers, func(i, k int) bool { return out.Peers[i].NodeID < out.Peers[k].NodeID })
	out.sumUpAgreement(out.Node.NodesOnline < int64(n.expected))
	return out
}

func connectedState(pushing, accepted bool) string {
	switch {
	case pushing && accepted:
		return "connected"
	case pushing:
		return "pushing"
	case accepted:
		return "accepted"
	}
	return lost
}

const lost = "lost"

// status returns the status of one zone; pending are the records that the slowest peer lacks.
func (z *zoneState) status(stats zone.Stats, pending int64) ZoneStatus {
	status := ZoneStatus{
		RecordsPending: min(stats.Pending+pending, stats.Records), RecordsTotal: stats.Records,
		Ready: z.ready.Load(), SyncedShards: z.syncedShards(), Digest: z.digest(),
		RecordBytes: stats.RecordBytes, Tombstones: stats.Tombstones, TombstoneBytes: stats.TombstoneBytes,
		GaveUp: stats.GaveUp, Full: stats.Full, Evicted: stats.Evicted, Refused: stats.Refused,
		Won: stats.Won, Lost: stats.Lost, Forfeited: stats.Forfeited, Ahead: stats.Ahead,
		Repairs: z.repairs.Load(), Repaired: z.repaired.Load(), RepairSent: z.repairSent.Load(),
	}
	status.Agreement = saysAlone
	if compared, ok := z.shared.(zone.Comparable); ok {
		status.Changes = compared.Changes()
		if status.Digest == "" { // it lacks records, so it cannot be compared
			status.Agreement = saysFull
		}
	}
	return status
}

// digest is a sum over the digests of the shards, "" if the zone cannot be compared.
func (z *zoneState) digest() string {
	var sums [zone.Shards]uint64
	if !z.shared.Digests(&sums) {
		return ""
	}
	h := fnv.New64a()
	for _, sum := range sums {
		h.Write(binary.LittleEndian.AppendUint64(nil, sum)) // a hash write does not fail
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// status returns the status of a peer. Called with Node.mu held.
func (p *peer) status(zones map[string]*shownZone, h *hearing, now clock.Reading) PeerStatus {
	status := PeerStatus{
		NodeID: p.id.String(), Accepted: p.pushes(), Address: p.outAddress, From: p.inAddress,
		Version: p.version, RTTMS: p.rttMS, OffsetMS: p.offsetMS, ClockRefused: p.clockRefused, LastError: p.lastError,
		Losses: p.losses, Mismatches: p.mismatches, Digests: make(map[string]Agreement, len(zones)),
	}
	for name, z := range zones {
		if a, compared := p.agreement(name, z, h, now); compared {
			status.Digests[name] = a
		}
	}
	return status
}

// pushStatus is how far an outgoing session is behind.
type pushStatus struct {
	peer     NodeID
	pending  map[string]int64 // records by zone
	lagMS    int64
	teaching bool
	leftOut  bool
}

func (s *Session) pushStatus(now clock.Reading) (status pushStatus, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Outgoing || s.stage != established {
		return status, false
	}
	status.peer, status.pending = s.peer.id, make(map[string]int64, len(s.push.zones))
	status.leftOut = s.leaving.out
	for _, pz := range s.push.zones {
		journal := pz.state.shared.Journal()
		status.pending[pz.state.info.Name] = s.lacks(pz, now)
		status.teaching = status.teaching || pz.shard >= 0 || !pz.taught.Empty()
		if _, _, flushedMS, ok := journal.Frame(pz.acked + 1); ok {
			status.lagMS = max(status.lagMS, now.MonoMS-flushedMS)
		}
	}
	return status, true
}
