package limitconn

import (
	"starling/admin"
	"starling/lib/clock"
)

// strictZone is what the API shows of a strict zone.
type strictZone struct {
	// State is "member" if this node decides, "waiting" until it is one, "additive" while an older release is a member,
	// else "closed"; Reason says why.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// View is the number of the agreed list of nodes that decide, Members are these.
	View     uint64   `json:"view"`
	Members  []string `json:"members"`
	Limit    int64    `json:"limit"`
	Admitted uint64   `json:"admitted"`
	Rejected uint64   `json:"rejected"`
	Waited   uint64   `json:"waited"`
	NoLease  uint64   `json:"no_lease"`
	// Ended are the connections that this node ended because it lost contact to the majority.
	Ended uint64 `json:"ended"`
	// Fallback is "refuse" or "share"; with "share", InFallback says whether this node's share decides.
	Fallback         string `json:"fallback"`
	InFallback       bool   `json:"in_fallback"`
	FallbackAdmitted uint64 `json:"fallback_admitted"`
	FallbackRejected uint64 `json:"fallback_rejected"`

	Asks      uint64      `json:"asks"`
	Grants    uint64      `json:"grants"`
	Recalls   uint64      `json:"recalls"`
	Returns   uint64      `json:"returns"`
	KeysHeld  int         `json:"keys_held"`
	KeysOwned int         `json:"keys_owned"`
	Keys      []strictKey `json:"keys"`
}

// strictKey is a key with the connections and slots of this node, and, if it is the owner, of all.
type strictKey struct {
	Key         string           `json:"key"`
	Connections int64            `json:"connections"`
	Slots       int64            `json:"slots"`
	Owner       string           `json:"owner,omitempty"`
	Free        *int64           `json:"free,omitempty"`
	Holders     map[string]int64 `json:"holders,omitempty"`
}

func (c *Counter) showStrict() *strictZone {
	if c.gate == nil {
		return nil
	}
	s := c.gate.Status(clock.SteadyUS())
	limit, _ := c.gate.ConnLimit()
	shown := &strictZone{
		State: s.State, Reason: s.Closed, View: s.View.Number, Members: s.Deciding(), Limit: limit,
		Admitted: s.Admitted, Rejected: s.Rejected, Waited: s.Waited, NoLease: c.noLease.Load(), Ended: s.Ended,
		Asks: s.Asks, Grants: s.Grants, Recalls: s.Recalls, Returns: s.Returns, KeysHeld: s.Keys, KeysOwned: s.Owned,
		Keys: []strictKey{}, Fallback: "refuse", InFallback: s.Fallback.Active,
		FallbackAdmitted: s.Fallback.Admitted, FallbackRejected: s.Fallback.Rejected,
	}
	if s.Fallback.Shares {
		shown.Fallback = "share"
	}
	for _, k := range c.gate.ShownConns(shownKeys) {
		key := strictKey{
			Key: admin.KeyText([]byte(k.Key)), Connections: k.Open, Slots: k.Slots, Owner: s.Name(k.Owner),
		}
		if k.Owned {
			free := max(limit-k.Granted, 0)
			key.Free, key.Holders = &free, map[string]int64{}
			for seat, slots := range k.Holders {
				key.Holders[s.Name(seat)] = slots
			}
		}
		shown.Keys = append(shown.Keys, key)
	}
	return shown
}
