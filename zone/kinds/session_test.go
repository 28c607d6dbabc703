package kinds

import (
	"fmt"
	"runtime"
	"testing"

	"starling/zone"
)

func TestTheLeastRecentlyTouchedSessionGoes(t *testing.T) {
	s := NewSession(SessionConfig{Name: "s", Bytes: 32 << 10, TimeoutMS: 600_000})
	name := func(i int) []byte { return fmt.Appendf(nil, "%016d", i) }
	n := 0
	for ; s.Stats().Evicted == 0; n++ {
		if err := s.Bind(name(n), []byte("server"), at(int64(n))); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Lookup(name(0), at(int64(n))); ok {
		t.Error("the oldest stayed")
	}
	s.Touch(name(1), at(int64(n)))
	s.Lookup(name(2), at(int64(n))) // looking up is not touching
	s.Bind(name(n), []byte("server"), at(int64(n+1)))
	if _, ok := s.Lookup(name(1), at(int64(n+1))); !ok {
		t.Error("a touched session went")
	}
	if _, ok := s.Lookup(name(2), at(int64(n+1))); ok {
		t.Error("a session that was only looked up stayed")
	}
}

func TestRecordsThatWaitAreFlushedBeforeTheyAreGivenUp(t *testing.T) {
	s := NewSession(SessionConfig{Name: "s", Bytes: 32 << 10, TimeoutMS: 600_000, Sync: true})
	s.Resize(1000, 8192)
	const sessions = 2000
	for i := range sessions {
		if err := s.Bind(fmt.Appendf(nil, "%016d", i), []byte("server"), at(int64(i))); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	s.Flush(at(sessions))
	if sent := s.Journal().RecordsAfter(0); sent != sessions {
		t.Errorf("%d of %d sessions were sent", sent, sessions)
	}
}

func TestSessionsExpireAndStayExpired(t *testing.T) {
	s := newTestSession(8000)
	for i := range 100 {
		s.Bind(fmt.Append(nil, i), []byte("server"), at(0))
	}
	s.Tick(at(10_000))
	if n := s.Stats().Records; n != 100 {
		t.Errorf("%d sessions left while they wait to be sent", n)
	}
	s.Flush(at(10_000))
	s.Tick(at(10_500))
	if stats := s.Stats(); stats.Records != 0 || stats.Bytes != 0 {
		t.Errorf("%+v left", stats)
	}
	var digests [zone.Shards]uint64
	if s.Digests(&digests); digests != [zone.Shards]uint64{} {
		t.Error("digests are not those of an empty zone")
	}
}

func TestADeletedSessionLeavesATombstoneThatEnds(t *testing.T) {
	s := newTestSession(8000)
	s.Bind([]byte("a"), []byte("server"), at(0))
	if !s.Delete([]byte("a"), at(1)) || s.Delete([]byte("a"), at(1)) {
		t.Error("deleted other than once")
	}
	s.Flush(at(1))
	if stats := s.Stats(); stats.Records != 0 || stats.Bytes == 0 {
		t.Errorf("%+v, want a tombstone", stats)
	}
	s.Tick(at(TombstoneLifeMS + 1000))
	if stats := s.Stats(); stats.Bytes != 0 {
		t.Errorf("%+v after its life", stats)
	}
}

// nginx documents 8,000 limits of addresses and 4,000 sessions per megabyte.
func TestAMegabyteHoldsWhatNginxsDoes(t *testing.T) {
	b, s := newTestBucket(1<<20, 1), newTestSession(600_000)
	for i := range 8000 {
		b.Account(fmt.Appendf(nil, "%016d", i), at(0), 0)
	}
	for i := range 4000 {
		s.Bind(fmt.Appendf(nil, "%016d", i), fmt.Appendf(nil, "%032d", i%7), at(0))
	}
	if limits, sessions := b.Stats(), s.Stats(); limits.Records != 8000 || sessions.Records != 4000 {
		t.Errorf("%d limits and %d sessions", limits.Records, sessions.Records)
	}
}

func TestASmallZoneIsSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory by itself")
	}
	before := heap()
	b := newTestBucket(32<<10, 1000)
	for i := range 1000 {
		b.Account(fmt.Appendf(nil, "10.0.0.%d", i), at(int64(i)), 0)
	}
	if bytes := heap() - before; bytes > 400<<10 {
		t.Errorf("a zone of 32k takes %d bytes", bytes)
	} else {
		t.Logf("a zone of 32k takes %d bytes", bytes)
	}
	runtime.KeepAlive(b)
}
