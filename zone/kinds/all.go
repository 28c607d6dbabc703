package kinds

import (
	"starling/lib/stamp"
	"starling/zone"
)

// Made is one line of the list of kinds. The constructor is here and not in zone.Kind, because constructors use the
// values of zone.Kind.
type Made struct {
	*zone.Kind
	// New makes a synced zone with settings that suit tests and tools; modules call the kind's own constructor.
	New func(info zone.Info, clock *stamp.Clock) zone.Shared
}

// All is the list of kinds.
var All = []Made{
	{SessionKind, func(info zone.Info, clock *stamp.Clock) zone.Shared {
		return NewSession(
			SessionConfig{
				Name:       info.Name,
				Expression: info.Expression,
				Bytes:      info.Bytes,
				TimeoutMS:  info.TimeoutMS,
				Sync:       true,
				Clock:      clock,
			},
		)
	}},
	{KeyvalKind, func(info zone.Info, clock *stamp.Clock) zone.Shared {
		return NewKeyval(
			KeyvalConfig{
				Name:       info.Name,
				Expression: info.Expression,
				Bytes:      info.Bytes,
				TimeoutMS:  info.TimeoutMS,
				Sync:       true,
				Clock:      clock,
			},
		)
	}},
	{BucketKind, func(info zone.Info, _ *stamp.Clock) zone.Shared {
		return NewBucket(
			BucketConfig{
				Name:       info.Name,
				Expression: info.Expression,
				Bytes:      info.Bytes,
				RateMilli:  info.RateMilli,
				Sync:       true,
			},
		)
	}},
	{ServersKind, func(info zone.Info, clock *stamp.Clock) zone.Shared {
		return NewServers(ServersConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes, Clock: clock})
	}},
	{ConnKind, func(info zone.Info, _ *stamp.Clock) zone.Shared {
		return NewConn(ConnConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes})
	}},
	{HealthKind, func(info zone.Info, _ *stamp.Clock) zone.Shared {
		return NewHealth(HealthConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes})
	}},
}

// Kinds lists the kinds, for cluster.Config, which names those of peers.
func Kinds() []*zone.Kind {
	list := make([]*zone.Kind, len(All))
	for i, made := range All {
		list[i] = made.Kind
	}
	return list
}
