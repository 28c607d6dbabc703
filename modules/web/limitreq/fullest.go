package limitreq

import (
	"starling/admin"
	"starling/lib/clock"
)

// shownKeys is how many keys of a zone the API names.
const shownKeys = 20

// fullest are the keys of a zone that are limited most.
type fullest struct {
	RateMilli  int64        `json:"rate"`  // 1/1000 requests per second
	BurstMilli int64        `json:"burst"` // the largest of the limits with this zone, in 1/1000 requests
	Keys       []limitedKey `json:"keys"`  // the most limited first
	Strict     *strictZone  `json:"strict,omitempty"`
}

// limitedKey is a key and its excess, in 1/1000 requests.
type limitedKey struct {
	Key         string `json:"key"`
	ExcessMilli int64  `json:"excess"`
}

func (z *Zone) fullest(now clock.Reading) fullest {
	out := fullest{RateMilli: z.rate, BurstMilli: z.BurstMilli(), Keys: []limitedKey{}, Strict: z.showStrict()}
	if z.gate != nil && !z.gate.Additive() { // what this node knows: of its own pieces, and of the pools that it has
		for _, k := range z.gate.Fullest(shownKeys, clock.SteadyUS()) {
			out.Keys = append(out.Keys, limitedKey{admin.KeyText([]byte(k.Key)), k.Used() / strictMilli})
		}
		return out
	}
	for _, l := range z.Fullest(shownKeys, now) {
		out.Keys = append(out.Keys, limitedKey{admin.KeyText(l.Key), l.ExcessMilli})
	}
	return out
}
