package side

import (
	"errors"
	"iter"
	"maps"
	"strings"

	"starling/admin"
	"starling/conf"
)

// StatusZones are the status zones of one kind in one configuration, by name. Several servers or locations share the
// one of a name.
type StatusZones[Z any] struct{ byName map[string]*Z }

// Named returns the zone of a name: that of this configuration, that of the previous one, whose figures continue over a
// reload, or a new one. previous is nil if there is none.
func (s *StatusZones[Z]) Named(name string, previous *StatusZones[Z], create func() *Z) *Z {
	z := s.byName[name]
	if z == nil && previous != nil {
		z = previous.byName[name]
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

// All returns the zones by name, in no order.
func (s *StatusZones[Z]) All() iter.Seq2[string, *Z] {
	return func(yield func(string, *Z) bool) { maps.All(s.byName)(yield) }
}

// StatusZoneName checks the name in a status_zone directive. NGINX Plus documents no variables in it; taken literally,
// "$host" would count the requests of all hosts as those of one.
func StatusZoneName(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("status zone without a name")
	case strings.Contains(text, "$"):
		return "", conf.NotSupportedf(
			"status_zone", "variables in the name of a status zone are not supported: \"%s\"", text,
		)
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
