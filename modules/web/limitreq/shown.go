package limitreq

import (
	"starling/admin"
	"starling/cluster/strict"
	"starling/lib/clock"
)

// strictZone is what the API shows of a strict zone. Amounts are in 1/1000 request.
type strictZone struct {
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
	// Fallback is "refuse" or "share"; with "share", InFallback says whether requests are decided by this node's share.
	Fallback   string `json:"fallback"`
	InFallback bool   `json:"in_fallback"`
	// FallbackAdmitted and FallbackRejected are the requests that this node decided on alone.
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

// strictKey is a key that was used lately, and who holds how much of its bucket.
type strictKey struct {
	Key      string           `json:"key"`
	Capacity int64            `json:"capacity"`
	Level    int64            `json:"level"`
	Owner    string           `json:"owner,omitempty"`
	Mode     string           `json:"mode,omitempty"`
	Pool     int64            `json:"pool,omitempty"`
	Holders  map[string]int64 `json:"holders,omitempty"`
}

const strictMilli = strict.Request / 1000

func (z *Zone) showStrict() *strictZone {
	if z.gate == nil {
		return nil
	}
	nowUS := clock.SteadyUS()
	s := z.gate.Status(nowUS)
	shown := &strictZone{
		State: s.State, Reason: s.Closed, View: s.View.Number, Members: s.Deciding(), Admitted: s.Admitted,
		Rejected: s.Rejected, Waited: s.Waited, NoLease: z.counts.noLease.Load(), Asks: s.Asks, Grants: s.Grants,
		Recalls: s.Recalls, Returns: s.Returns, KeysHeld: s.Keys, KeysOwned: s.Owned, Keys: []strictKey{},
		Fallback: "refuse", InFallback: s.Fallback.Active, FallbackAdmitted: s.Fallback.Admitted,
		FallbackRejected: s.Fallback.Rejected,
	}
	if s.Fallback.Shares {
		shown.Fallback = "share"
	}
	for _, k := range z.gate.Shown(shownKeys, nowUS) {
		key := strictKey{
			Key: admin.KeyText([]byte(k.Key)), Capacity: k.Held.Capacity / strictMilli,
			Level: k.Held.Level / strictMilli, Owner: s.Name(k.Owner), Mode: k.Mode,
			Pool: k.Pool.Capacity / strictMilli,
		}
		if k.Mode != "" {
			key.Holders = map[string]int64{}
			for seat, capacity := range k.Holders {
				key.Holders[s.Name(seat)] = capacity / strictMilli
			}
		}
		shown.Keys = append(shown.Keys, key)
	}
	return shown
}
