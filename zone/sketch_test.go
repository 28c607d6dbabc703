package zone

import (
	"math/rand/v2"
	"slices"
	"testing"

	"starling/lib/stamp"
)

func randomElements(r *rand.Rand, n int) []Element {
	list := make([]Element, n)
	for i := range list {
		list[i] = Element{Key: r.Uint64(), Version: r.Uint64()}
	}
	return list
}

func TestSketchGivesBackTheDifference(t *testing.T) {
	tests := []struct {
		name                string
		both, added, missed int
		newer               int // in both, in two versions
		cells               int
		want                bool
	}{
		{"nothing", 1000, 0, 0, 0, 64, true},
		{"one", 1000, 1, 0, 0, 64, true},
		{"both ways", 1000, 20, 17, 0, 64, true},
		{"versions", 1000, 0, 0, 20, 128, true},
		{"a thousand of many", 100_000, 500, 500, 0, 4096, true},
		{"a thousand in two versions", 100_000, 0, 0, 1000, 4096, true},
		{"the design's two thousand", 100_000, 1000, 1000, 0, 4096, true},
		{"more than cells", 1000, 4000, 1000, 0, 4096, false},
		{"too many for a small one", 1000, 100, 0, 0, 64, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			both := randomElements(r, test.both)
			added, removed := randomElements(r, test.added), randomElements(r, test.missed)
			for range test.newer {
				e := Element{Key: r.Uint64(), Version: r.Uint64()}
				added = append(added, e)
				removed = append(removed, Element{Key: e.Key, Version: e.Version + 1})
			}
			mine, theirs := NewSketch(MaxSketchCells), NewSketch(MaxSketchCells)
			for _, e := range both {
				mine.Add(e)
				theirs.Add(e)
			}
			for _, e := range added {
				mine.Add(e)
			}
			for _, e := range removed {
				theirs.Add(e)
			}
			sent, err := ParseSketch(theirs.Folded(test.cells).Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			difference := mine.Folded(test.cells)
			difference.Subtract(sent)
			gotAdded, gotRemoved, ok := difference.Decode()
			if ok != test.want {
				t.Fatalf("decoded: %v", ok)
			}
			if !ok {
				return
			}
			for _, list := range [][]Element{added, removed, gotAdded, gotRemoved} {
				slices.SortFunc(list, Element.Compare)
			}
			if !slices.Equal(added, gotAdded) || !slices.Equal(removed, gotRemoved) {
				t.Errorf("%d and %d elements, want %d and %d", len(gotAdded), len(gotRemoved), len(added), len(removed))
			}
		})
	}
}

// SketchCells is right nearly always, at each of its sizes.
func TestSketchCellsAreEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rounds = 300
	for _, n := range []int{10, 11, 53, 54, 138, 139, 309, 310, 650, 651, 1333, 1334, 2000, 2700} {
		failed := 0
		for range rounds {
			s := NewSketch(SketchCells(n))
			for _, e := range randomElements(r, n) {
				s.Add(e)
			}
			if _, _, ok := s.Decode(); !ok {
				failed++
			}
		}
		if failed > rounds/50 {
			t.Errorf("%d differences in %d cells failed %d of %d times", n, SketchCells(n), failed, rounds)
		}
	}
}

func TestVersionsCompareAsStampsAndTellValuesApart(t *testing.T) {
	s := stamp.At(1_800_000_000_000, 7)
	later := stamp.At(1_800_000_000_001, 0)
	one, other := VersionOf(s, false, []byte("one")), VersionOf(s, false, []byte("other"))
	if one == other || one == VersionOf(s, true, nil) {
		t.Error("one stamp, two values, one version")
	}
	if newer := VersionOf(later, false, []byte("one")); newer <= one || (Element{Version: newer}).MS() != later.MS() {
		t.Errorf("%x after %x", newer, one)
	}
}

// FuzzSketch: whatever cells a peer sends, taking the difference apart ends, and what it gives back is in the cells.
func FuzzSketch(f *testing.F) {
	good := NewSketch(MinSketchCells)
	good.Add(Element{1, 2})
	good.Remove(Element{3, 4})
	f.Add(good.Append(nil))
	f.Add(make([]byte, MinSketchCells*SketchCellBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSketch(b)
		if err != nil {
			return
		}
		again := s.Folded(s.Cells())
		added, removed, ok := s.Decode()
		if !ok {
			return
		}
		for _, e := range added {
			again.Remove(e)
		}
		for _, e := range removed {
			again.Add(e)
		}
		for _, c := range again.cells {
			if c != (cell{}) {
				t.Fatal("the elements are not those of the cells")
			}
		}
	})
}
