package limitreq

import (
	"starling/admin"
	"starling/cluster/strict"
	"starling/lib/clock"
)

// strictZone is what the API shows of a strict zone. Amounts are in 1/1000 request.
type strictZone struct {
	strict.ShownZone

	Keys []strictKey `json:"keys"`
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
	shown := &strictZone{ShownZone: s.Show(z.counts.noLease.Load()), Keys: []strictKey{}}
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
