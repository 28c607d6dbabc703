package strict

// GateStatus is a gate for the API.
type GateStatus struct {
	// State is "member" or "waiting" (for a view or a lease), without a node "additive" or "closed"; Closed is why.
	State, Closed string
	View          View
	Members       []string // by seat
	Stats
	// Keys are the records that this node holds, Owned those of which it has the pool.
	Keys, Owned int
	Fallback    FallbackStatus
	Ended       uint64 // connections, because their lease had ended
}

// Status describes the gate.
func (g *Gate) Status(nowUS int64) GateStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == nil {
		s := GateStatus{State: "closed", Closed: g.Closed(), Fallback: g.fallbackStatus(nowUS), Ended: g.ended()}
		if g.Additive() {
			s.State = "additive"
		}
		return s
	}
	s := GateStatus{
		State: "waiting", Members: g.members, View: g.node.View(), Stats: g.node.Stats(), Keys: g.node.holdings.size(),
		Owned: len(g.node.poolList), Fallback: g.fallbackStatus(nowUS), Ended: g.ended(),
	}
	if g.node.Ready(nowUS) {
		s.State = "member"
	}
	if g.slots != nil {
		s.Keys, s.Owned = g.node.slots.held.size(), len(g.node.slots.pools)
	}
	return s
}

// Name is that of a member, "" of a seat that has none.
func (s *GateStatus) Name(seat Seat) string {
	if seat >= 0 && int(seat) < len(s.Members) {
		return s.Members[seat]
	}
	return ""
}

// Deciding are the names of the view's members, never nil.
func (s *GateStatus) Deciding() []string {
	names := make([]string, 0, len(s.View.Members))
	for _, m := range s.View.Members {
		names = append(names, s.Name(m.Seat))
	}
	return names
}

// ended is how many connections were ended for want of a lease. Called with mu held.
func (g *Gate) ended() uint64 {
	if g.slots == nil {
		return 0
	}
	return g.slots.ended
}

// ShownZone is what the API shows of a strict zone of any kind.
type ShownZone struct {
	// State is "member" if this node decides, "waiting" until it is one, "additive" while an older release is a member,
	// else "closed"; Reason says why.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// View is the number of the agreed list of nodes that decide, Members are these.
	View     uint64   `json:"view"`
	Members  []string `json:"members"`
	Admitted uint64   `json:"admitted"`
	Rejected uint64   `json:"rejected"`
	Waited   uint64   `json:"waited"`
	NoLease  uint64   `json:"no_lease"`
	// Fallback is "refuse" or "share"; with "share", InFallback says whether this node's share decides.
	Fallback   string `json:"fallback"`
	InFallback bool   `json:"in_fallback"`
	// FallbackAdmitted and FallbackRejected are what this node decided on alone.
	FallbackAdmitted uint64 `json:"fallback_admitted"`
	FallbackRejected uint64 `json:"fallback_rejected"`

	Asks      uint64 `json:"asks"`
	Grants    uint64 `json:"grants"`
	Recalls   uint64 `json:"recalls"`
	Returns   uint64 `json:"returns"`
	KeysHeld  int    `json:"keys_held"`
	KeysOwned int    `json:"keys_owned"`
}

// Show is the status for the API. noLease are the requests that were rejected because the node did not decide.
func (s *GateStatus) Show(noLease uint64) ShownZone {
	shown := ShownZone{
		State: s.State, Reason: s.Closed, View: s.View.Number, Members: s.Deciding(), Admitted: s.Admitted,
		Rejected: s.Rejected, Waited: s.Waited, NoLease: noLease, Asks: s.Asks, Grants: s.Grants, Recalls: s.Recalls,
		Returns: s.Returns, KeysHeld: s.Keys, KeysOwned: s.Owned, Fallback: "refuse", InFallback: s.Fallback.Active,
		FallbackAdmitted: s.Fallback.Admitted, FallbackRejected: s.Fallback.Rejected,
	}
	if s.Fallback.Shares {
		shown.Fallback = "share"
	}
	return shown
}
