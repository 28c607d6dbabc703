package kinds

import (
	"starling/lib/stamp"
	"starling/zone"
)

// Kind is one line of the list of kinds.
type Kind struct {
	Number zone.Kind
	Name   string
	// New makes a synced zone with settings that suit tests and tools; modules call the kind's own constructor.
	New func(info zone.Info, clock *stamp.Clock) zone.Shared
}

// All is the list of kinds. Numbers are on the wire: they are never changed and never used again.
var All = []Kind{
	{zone.KindSession, "session", func(info zone.Info, clock *stamp.Clock) zone.Shared {
		return NewSession(SessionConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes, TimeoutMS: info.TimeoutMS, Sync: true, Clock: clock})
	}},
	{zone.KindKeyval, "keyval", func(info zone.Info, clock *stamp.Clock) zone.Shared {
		return NewKeyval(KeyvalConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes, TimeoutMS: info.TimeoutMS, Sync: true, Clock: clock})
	}},
	{zone.KindBucket, "bucket", func(info zone.Info, _ *stamp.Clock) zone.Shared {
		return NewBucket(BucketConfig{Name: info.Name, Expression: info.Expression, Bytes: info.Bytes, RateMilli: info.RateMilli, Sync: true})
	}},
}
