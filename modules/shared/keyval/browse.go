package keyval

import (
	"starling/admin"
	"starling/lib/clock"
)

// maxShownBytes bounds the part of a value that a page of pairs shows; the pair itself is a GET away.
const maxShownBytes = 2 << 10

// record is a pair as a page shows it.
type record struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Cut    bool   `json:"truncated,omitempty"`
	LeftMS int64  `json:"left_ms,omitempty"` // until it expires
}

// browse answers with a page of the pairs, for people who look at a zone that may be large.
func (z *Zone) browse(call *admin.Call, now clock.Reading) admin.Answer {
	page, problem := admin.ReadPage(call)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	b := admin.NewBrowser[record](page)
	for pair := range z.Visit(now) {
		b.Offer(pair.Key, pair.Value, func() record {
			shown := pair.Value[:min(len(pair.Value), maxShownBytes)]
			return record{string(pair.Key), string(shown), len(shown) < len(pair.Value), pair.LeftMS}
		})
	}
	return admin.Answer{Body: b.Records()}
}
