package plan

import (
	"fmt"
	"sort"
)

// Zone is one named shared memory of a configuration. Its declaration can follow its first use.
type Zone struct {
	Name string
	// Use is the family it belongs to ("limit_req"): a name serves one family only.
	Use   string
	Bytes int64 // 0 until declared
	// Value is the family's own data, set at link time. Continue makes it outlive a reload.
	Value any
	// Sync means that the cluster shares the zone; its Value then is a zone.Shared.
	Sync bool
	// File and Line are the first place that names the zone.
	File string
	Line int
}

// Zones are all zones of a configuration.
type Zones struct{ byName map[string]*Zone }

func newZones() *Zones { return &Zones{byName: map[string]*Zone{}} }

// MinZoneBytes is the smallest size that nginx accepts for a zone: eight pages.
const MinZoneBytes = 8 * 4096

// Mention returns the zone of a name, declared or not yet. file and line are the place that names it.
func (z *Zones) Mention(name, use, file string, line int) (*Zone, error) {
	if name == "" {
		return nil, fmt.Errorf("invalid zone name %q", name)
	}
	e := z.byName[name]
	if e == nil {
		e = &Zone{Name: name, Use: use, File: file, Line: line}
		z.byName[name] = e
	}
	if e.Use != use {
		return nil, fmt.Errorf("the shared memory zone %q is already declared for a different use", name)
	}
	return e, nil
}

// Declare is Mention with a size in bytes. Two declarations must agree in it.
func (z *Zones) Declare(name, use string, bytes int64, file string, line int) (*Zone, error) {
	e, err := z.Mention(name, use, file, line)
	if err != nil {
		return nil, err
	}
	if bytes < MinZoneBytes {
		return nil, fmt.Errorf("zone %q is too small", name)
	}
	if e.Bytes != 0 && e.Bytes != bytes {
		return nil, fmt.Errorf(
			"the size %d of shared memory zone %q conflicts with already declared size %d",
			bytes,
			name,
			e.Bytes,
		)
	}
	e.Bytes = bytes
	return e, nil
}

// Undeclared returns the zones that were mentioned and never given a size, by place.
func (z *Zones) Undeclared() []*Zone {
	var out []*Zone
	for _, e := range z.byName {
		if e.Bytes == 0 {
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].File < out[j].File || out[i].File == out[j].File && out[i].Line < out[j].Line
	})
	return out
}

// All returns every zone by name.
func (z *Zones) All() []*Zone {
	out := make([]*Zone, 0, len(z.byName))
	for _, e := range z.byName {
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Memory is the use of a zone's bytes. The Value of a Zone that counts it has a method Memory.
type Memory struct {
	UsedBytes int64 // of records
	Records   int64
	Refused   int64 // records for which there was no room
}
