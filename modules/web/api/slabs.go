package api

import (
	"math/bits"
	"strconv"

	"starling/plan"
	"starling/zone"
)

// slab is the memory of a zone. Starling's zones have no size classes: the one slot stands for their records, and its
// name is the class that one of average size would have in nginx.
type slab struct {
	Pages struct {
		Used int64 `json:"used"`
		Free int64 `json:"free"`
	} `json:"pages"`
	Slots map[string]slot `json:"slots"`
}

type slot struct {
	Used  int64 `json:"used"`
	Free  int64 `json:"free"`
	Reqs  int64 `json:"reqs"`
	Fails int64 `json:"fails"`
}

const (
	pageBytes = 4096
	// minSlotBytes and maxSlotBytes are nginx's smallest and largest class; minSlotBytes is also that of a zone
	// without records.
	minSlotBytes, maxSlotBytes = 64, 2048
)

// memoryOf returns the use of a zone; false if it is not counted: groups of servers and caches.
func memoryOf(z *plan.Zone) (plan.Memory, bool) {
	switch v := z.Value.(type) {
	case interface{ Memory() plan.Memory }:
		return v.Memory(), true
	case interface{ Stats() zone.Stats }:
		stats := v.Stats()
		// tombstones are evicted when needed, so their memory is free
		return plan.Memory{UsedBytes: stats.RecordBytes, Records: stats.Records, Refused: stats.Refused}, true
	}
	return plan.Memory{}, false
}

func newSlab(z *plan.Zone) slab {
	var out slab
	m, counted := memoryOf(z)
	used := max((m.UsedBytes+pageBytes-1)/pageBytes, 1)
	total := max(z.Bytes/pageBytes, used)
	out.Pages.Used, out.Pages.Free = used, total-used
	bytes := int64(minSlotBytes)
	if m.Records > 0 {
		average := uint64(max(m.UsedBytes/m.Records, 1))
		bytes = min(max(int64(1)<<bits.Len64(average-1), minSlotBytes), maxSlotBytes)
	}
	one := slot{Used: m.Records, Reqs: m.Records + m.Refused, Fails: m.Refused}
	if counted {
		one.Free = out.Pages.Free * pageBytes / bytes
	}
	out.Slots = map[string]slot{strconv.FormatInt(bytes, 10): one}
	return out
}
