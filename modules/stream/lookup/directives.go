// Package lookup makes variables of sessions whose values are chosen by other values: map, geo and split_clients.
package lookup

import (
	"bytes"
	"net/netip"

	"starling/conf"
	"starling/logs"
	"starling/lookups"
	"starling/plan"
	"starling/stream"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "lookup",
		Doc:        "Variables whose values are chosen by other values: by tables, by addresses and by a hash.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: side().Directives(conf.Stream),
	},
}

// side is the stream side as lookups see it.
func side() *lookups.Side[*stream.Session] {
	return &lookups.Side[*stream.Session]{
		Variables: stream.Variables,
		NewSlot:   stream.NewSlot,
		Keep: func(s *stream.Session, slot int, value []byte, literal bool) {
			if !literal {
				value = bytes.Clone(value)
			}
			s.SetSlot(slot, value)
		},
		Kept: func(s *stream.Session, slot int) ([]byte, bool) {
			value := s.Slot(slot)
			return value, value != nil
		},
		CompileRegex: func(p *plan.Plan, pattern string, caseless bool) (lookups.Regex[*stream.Session], error) {
			return stream.CompileRegex(p, pattern, caseless)
		},
		Nesting: func(s *stream.Session) *int { return &s.Nesting },
		Logf: func(s *stream.Session, level logs.Level, format string, args ...any) {
			s.Logf(level, format, args...)
		},
		Remote: func(s *stream.Session) netip.Addr { return s.Remote.Addr() },
	}
}
