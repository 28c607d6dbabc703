package side

import (
	"errors"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"starling/admin"
	"starling/conf"
	"starling/logs"
)

// StatusZones are the status zones of one kind in one configuration, by name. Several servers or locations share the
// one of a name.
type StatusZones[Z any] struct {
	byName map[string]*Z
	values *zonesOfValues[Z] // nil unless a name has variables
}

// zonesOfValues are the zones that requests have named, through variables. A reload hands them over whole.
type zonesOfValues[Z any] struct {
	byName atomic.Pointer[map[string]*Z] // replaced, never changed: requests read it without a lock
	full   atomic.Bool                   // further values are in OtherValues, which is there

	mu     sync.Mutex // of those who replace it
	create func() *Z
	log    logs.Logger
}

const (
	// maxValues bounds the zones that clients can make by the values of a variable, such as $host: a busy one takes 2
	// KB for each copy of its counters, of which there are four per core, and the API shows them all.
	maxValues = 256
	// maxValueBytes is more than a host name has.
	maxValueBytes = 256
)

// OtherValues is the zone of all values beyond the first ones, and of those that cannot be shown.
const OtherValues = "(other)"

// Named returns the zone of a name: that of this configuration, that of the previous one, whose figures continue over a
// reload, or a new one. previous is nil if there is none.
func (s *StatusZones[Z]) Named(name string, previous *StatusZones[Z], create func() *Z) *Z {
	z := s.byName[name]
	if z == nil && previous != nil {
		z = previous.named(name)
	}
	if z == nil {
		z = create()
	}
	if s.byName == nil {
		s.byName = map[string]*Z{}
	}
	s.byName[name] = z
	return z
}

// named is the zone of a name, or nil.
func (s *StatusZones[Z]) named(name string) *Z {
	if z := s.byName[name]; z != nil || s.values == nil {
		return z
	}
	return (*s.values.byName.Load())[name]
}

// AllowValues prepares OfValue, while a configuration is read. The zones of the previous one continue.
func (s *StatusZones[Z]) AllowValues(previous *StatusZones[Z]) {
	switch {
	case s.values != nil:
	case previous != nil && previous.values != nil:
		s.values = previous.values
	default:
		s.values = new(zonesOfValues[Z])
		s.values.byName.Store(&map[string]*Z{})
	}
}

// Start makes OfValue use this configuration's log, and create for new zones.
func (s *StatusZones[Z]) Start(log logs.Logger, create func() *Z) {
	if v := s.values; v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.log, v.create = log, create
	}
}

// OfValue returns the zone that the value of a variable names; nil for "" and "off".
func (s *StatusZones[Z]) OfValue(value []byte) *Z {
	if len(value) == 0 || string(value) == "off" {
		return nil
	}
	if z := s.byName[string(value)]; z != nil {
		return z
	}
	if z := (*s.values.byName.Load())[string(value)]; z != nil {
		return z
	}
	if s.values.full.Load() { // clients that send ever new values must not meet at the lock
		return (*s.values.byName.Load())[OtherValues]
	}
	return s.values.add(string(value))
}

// add makes the zone of a value.
func (v *zonesOfValues[Z]) add(name string) *Z {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := *v.byName.Load()
	if len(name) > maxValueBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		name = OtherValues
	}
	if now[name] == nil && len(now) >= maxValues {
		name = OtherValues
		if !v.full.Load() {
			defer v.full.Store(true)
			v.log.Logf(logs.Warn, "\"status_zone\" with variables: there are %d zones; requests with further values "+
				"are counted in zone \"%s\". Use a variable with fewer values, such as that of a \"map\"",
				maxValues, OtherValues)
		}
	}
	if z := now[name]; z != nil {
		return z
	}
	next := maps.Clone(now)
	next[name] = v.create()
	v.byName.Store(&next)
	return next[name]
}

// All returns the zones by name, in no order.
func (s *StatusZones[Z]) All() iter.Seq2[string, *Z] {
	return func(yield func(string, *Z) bool) {
		for name, z := range s.byName {
			if !yield(name, z) {
				return
			}
		}
		if s.values == nil {
			return
		}
		for name, z := range *s.values.byName.Load() {
			if s.byName[name] == nil && !yield(name, z) {
				return
			}
		}
	}
}

// ErrNoZoneName is an empty name in a status_zone directive.
var ErrNoZoneName = errors.New("status zone without a name")

// StatusZoneName checks the name in a status_zone directive without variables. Taken literally, "$host" would count the
// requests of all hosts as those of one.
func StatusZoneName(text string) (string, error) {
	switch {
	case text == "":
		return "", ErrNoZoneName
	case strings.Contains(text, "$"):
		return "", conf.NotSupportedf(
			"status_zone", "variables in the name of a status zone are not supported by starling: \"%s\"", text,
		).Advise("write a status_zone with its own name into each server")
	}
	return text, nil
}

// StatusZoneMetrics are those that the status zones of both sides have; at is the path of a zone.
func StatusZoneMetrics(prefix, at, discarded string) []admin.Metric {
	return []admin.Metric{
		admin.Counter(prefix+"discarded", at+"discarded", discarded),
		admin.Counter(prefix+"received", at+"received", "Bytes received from clients."),
		admin.Counter(prefix+"sent", at+"sent", "Bytes sent to clients."),
	}
}
