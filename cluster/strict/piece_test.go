package strict

import (
	"math/rand/v2"
	"testing"

	"starling/lib/clock"
	"starling/zone/kinds"
)

func TestPiecesDrain(t *testing.T) {
	for _, test := range []struct {
		name     string
		piece    Piece
		passedUS int64
		level    int64
	}{
		{"1 per second, half a second", Piece{5 * Request, Request, 2 * Request}, 500_000, 3 * Request / 2},
		{"empty", Piece{5 * Request, Request, 2 * Request}, 2_000_000, 0},
		{"long after", Piece{5 * Request, 1e6 * Request, 2 * Request}, 1 << 55, 0},
		{"without a rate", Piece{5 * Request, 0, 2 * Request}, 1 << 55, 2 * Request},
		{"1 per minute, a microsecond", Piece{Request, Request / 60, Request}, 1, Request - 16},
		{"time goes back", Piece{5 * Request, Request, 2 * Request}, -5, 2 * Request},
	} {
		h := held{Piece: test.piece, atUS: 100}
		h.drainTo(100 + test.passedUS)
		if h.Level != test.level {
			t.Errorf("%s: level %d, want %d", test.name, h.Level, test.level)
		}
	}
}

// Less than a unit is not lost between two readings.
func TestSmallDrainsAddUp(t *testing.T) {
	h := held{Piece: Piece{Request, Request / 60, Request}}
	for us := int64(1); us <= 6000; us++ {
		h.drainTo(us)
	}
	if want := Request - Request/60*6000/1_000_000; h.Level != want {
		t.Errorf("level %d after 6,000 drains of 1 us, want %d", h.Level, want)
	}
}

// What is taken out and what remains is what was there, and neither drains faster than its share.
func TestSplitsKeepTheSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		whole := Piece{Capacity: 1 + r.Int64N(1000*Request), Rate: r.Int64N(1000 * Request)}
		whole.Level = r.Int64N(whole.Capacity + 1)
		h := held{Piece: whole}
		part := h.split(r.Int64N(2*whole.Capacity), r.Int64N(2*whole.Capacity))
		if h.Piece.plus(part) != whole {
			t.Fatalf("%+v became %+v and %+v", whole, h.Piece, part)
		}
		for _, p := range []Piece{part, h.Piece} {
			if p.Level < 0 || p.Level > p.Capacity || p.Rate < 0 || p.Capacity < 0 {
				t.Fatalf("%+v became %+v and %+v", whole, h.Piece, part)
			}
		}
		if h.Rate > share(whole.Rate, h.Capacity, whole.Capacity) {
			t.Fatalf("of %+v, %+v remains: it drains faster than its share", whole, h.Piece)
		}
	}
}

// One node with a whole bucket decides as limit_req does. The rates are those that nginx's arithmetic, in 1/1000
// request and ms, does not round.
func TestAWholePieceDecidesAsTheBucketOfAZone(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for _, rate := range []int64{1, 7, 1000} {
		for _, burst := range []int64{0, 5, 100} {
			zone := kinds.NewBucket(kinds.BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: rate * 1000})
			limit := Limit{Rate: rate * Request, Burst: burst}
			h := held{Piece: Piece{Capacity: limit.capacity(), Rate: limit.Rate}}
			ms := int64(1_800_000_000_000)
			for i := range 2000 {
				ms += r.Int64N(1 + 2000/rate)
				_, verdict := zone.Account([]byte("key"), clock.Reading{WallMS: ms, MonoMS: ms}, burst*1000)
				if admitted := h.admit(ms * 1000); admitted != (verdict == kinds.Passed) {
					t.Fatalf("%d r/s burst %d, request %d: admitted %v, the zone says %v", rate, burst, i, admitted, verdict)
				}
			}
		}
	}
}

func TestWhenAPieceHasRoom(t *testing.T) {
	for _, test := range []struct {
		piece Piece
		want  int64
	}{
		{Piece{2 * Request, Request, 0}, 0},
		{Piece{2 * Request, Request, 2 * Request}, 1_000_001},
		{Piece{2 * Request, 2 * Request, 3 * Request / 2}, 250_001},
		{Piece{Request / 2, Request, 0}, 9_000_000},
		{Piece{Request, 0, Request}, 9_000_000},
		{Piece{Request, 1, Request}, 9_000_000},
	} {
		h := held{Piece: test.piece}
		if got := h.whenFreeUS(9_000_000); got != test.want {
			t.Errorf("%+v has room in %d us, want %d", test.piece, got, test.want)
		}
	}
}
