package api

import (
	"encoding/json"
	"testing"

	"starling/plan"
	"starling/zone"
)

type records struct{}

func (records) Stats() zone.Stats {
	return zone.Stats{Records: 10, RecordBytes: 3000, Tombstones: 5, TombstoneBytes: 9000, Refused: 2}
}

type connections struct{}

func (connections) Memory() plan.Memory { return plan.Memory{UsedBytes: 5000, Records: 64, Refused: 1} }

// TestSlabs: pages and the slot are what is known of a zone.
func TestSlabs(t *testing.T) {
	for name, c := range map[string]struct {
		zone plan.Zone
		want string
	}{
		"records": {plan.Zone{Bytes: 32 << 10, Value: records{}},
			`{"pages":{"used":1,"free":7},"slots":{"512":{"used":10,"free":56,"reqs":12,"fails":2}}}`},
		"connections": {plan.Zone{Bytes: 32 << 10, Value: connections{}},
			`{"pages":{"used":2,"free":6},"slots":{"128":{"used":64,"free":192,"reqs":65,"fails":1}}}`},
		"a group of servers": {plan.Zone{Bytes: 64 << 10}, `{"pages":{"used":1,"free":15},"slots":{"64":{"used":0,"free":0,"reqs":0,"fails":0}}}`},
	} {
		got, err := json.Marshal(newSlab(&c.zone))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, c.want)
		}
	}
}
