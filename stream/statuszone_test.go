package stream

import (
	"sync"
	"testing"

	"starling/lib/histogram"
)

// A session that a reset has made forget where it began can still move to another zone.
func TestASessionMovesAfterAReset(t *testing.T) {
	from, to := newStatusZone(histogram.DefaultBounds), newStatusZone(histogram.DefaultBounds)
	var s Session
	s.enter(from)
	from.Reset()
	s.enter(to)
	if f := from.Figures(); f != (ZoneFigures{}) {
		t.Errorf("the zone it left: %+v", f)
	}
	if f := to.Figures(); f.Processing != 1 || f.Connections != 1 {
		t.Errorf("its zone: %+v", f)
	}
}

func TestSessionsOfManyAtOnce(t *testing.T) {
	first, second := newStatusZone(histogram.DefaultBounds), newStatusZone(histogram.DefaultBounds)
	const sessions = 200
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			s := Session{}
			s.enter(first)
			if i%2 == 0 {
				s.enter(second)
			}
		})
	}
	all.Wait()
	for _, z := range []*StatusZone{first, second} {
		if f := z.Figures(); f.Processing != sessions/2 || f.Connections != sessions/2 {
			t.Errorf("%+v", f)
		}
	}
}
