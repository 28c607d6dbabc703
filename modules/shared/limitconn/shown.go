package limitconn

import (
	"starling/admin"
	"starling/cluster/strict"
	"starling/lib/clock"
)

// strictZone is what the API shows of a strict zone.
type strictZone struct {
	strict.ShownZone

	Limit int64 `json:"limit"`
	// Ended are the connections that this node ended because it lost contact to the majority.
	Ended uint64      `json:"ended"`
	Keys  []strictKey `json:"keys"`
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
	shown := &strictZone{ShownZone: s.Show(c.noLease.Load()), Limit: limit, Ended: s.Ended, Keys: []strictKey{}}
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
