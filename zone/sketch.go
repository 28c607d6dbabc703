package zone

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"starling/lib/stamp"
)

// Element is one record in digests and sketches: the key and its version.
type Element struct {
	Key     uint64 // KeyHash, or ClearKey
	Version uint64 // VersionOf
}

// VersionOf identifies the state of a record: its stamp, with the counter mixed with the value, because two nodes may
// write one key with one stamp. Milliseconds stay in the upper 48 bits, so versions of different milliseconds compare
// like stamps.
func VersionOf(s stamp.Stamp, tombstone bool, value []byte) uint64 {
	const dead = 0xdead
	if tombstone {
		return uint64(s) ^ dead
	}
	return uint64(s) ^ KeyHash(value)>>48
}

// MS is the time of the version's stamp.
func (e Element) MS() int64 { return stamp.Stamp(e.Version).MS() }

// Compare orders elements by key, so by shard, then by version.
func (e Element) Compare(o Element) int {
	if c := cmp.Compare(e.Key, o.Key); c != 0 {
		return c
	}
	return cmp.Compare(e.Version, o.Version)
}

// ClearKey stands for "all keys of a shard" in the element of a clear.
func ClearKey(shard int) uint64 { return uint64(shard) << 56 }

// ClearOf is the element of a shard's clear.
func ClearOf(shard int, cleared stamp.Stamp) Element {
	return Element{Key: ClearKey(shard), Version: uint64(cleared)}
}

// Sketch is an invertible Bloom lookup table (Goodrich and Mitzenmacher, "Invertible Bloom Lookup Tables", 2011; as a
// difference digest: Eppstein et al., "What's the Difference?", 2011). It sums elements up in a fixed number of cells;
// the difference of the sketches of two sets yields the elements in which they differ, if these are not more than three
// quarters of the cells.
//
// Cells are sums modulo 2^64, not exclusive ors, so the sign of a difference tells which side has the element, without
// a count. The number of cells is a power of two and places are taken modulo it, so a sketch folds to any smaller one.
type Sketch struct{ cells []cell }

type cell struct {
	key, version uint64
	check        uint32
}

// The cells of a sketch.
const (
	MaxSketchCells = 4096
	MinSketchCells = 64
	// SketchCellBytes is a cell's size in Append's encoding.
	SketchCellBytes = 20
	// sketchPlaces is the number of cells of an element: three needs the fewest cells per difference.
	sketchPlaces = 3
)

// NewSketch returns an empty sketch of a power of two of cells.
func NewSketch(cells int) *Sketch { return &Sketch{cells: make([]cell, cells)} }

// Cells is the number of cells.
func (s *Sketch) Cells() int { return len(s.cells) }

// spareCells: small sketches fail more often at the same load.
const spareCells = 48

// SketchCells is the smallest sketch in which n differences are nearly always found.
func SketchCells(n int) int {
	cells := MinSketchCells
	for cells < MaxSketchCells && cells < n+n/2+spareCells {
		cells *= 2
	}
	return cells
}

// place is the i-th cell of an element with that digest.
func (s *Sketch) place(digest uint64, i int) uint64 {
	const bits = 21 // three times 21 of 64
	return digest >> (bits * i) & uint64(len(s.cells)-1)
}

func checkOf(digest uint64) uint32 { return uint32(mix(digest^hashStart, hashWord)) }

// Add adds an element.
func (s *Sketch) Add(e Element) { s.add(e, e.Digest()) }

func (s *Sketch) add(e Element, digest uint64) {
	check := checkOf(digest)
	for i := range sketchPlaces {
		c := &s.cells[s.place(digest, i)]
		c.key += e.Key
		c.version += e.Version
		c.check += check
	}
}

// Remove removes an element.
func (s *Sketch) Remove(e Element) { s.remove(e, e.Digest()) }

func (s *Sketch) remove(e Element, digest uint64) {
	check := checkOf(digest)
	for i := range sketchPlaces {
		c := &s.cells[s.place(digest, i)]
		c.key -= e.Key
		c.version -= e.Version
		c.check -= check
	}
}

// Folded returns a copy with at most that many cells, a power of two.
func (s *Sketch) Folded(cells int) *Sketch {
	folded := NewSketch(min(cells, len(s.cells)))
	for i := range s.cells {
		from, to := &s.cells[i], &folded.cells[i&(len(folded.cells)-1)]
		to.key += from.key
		to.version += from.version
		to.check += from.check
	}
	return folded
}

// Subtract removes the elements of another sketch of the same size.
func (s *Sketch) Subtract(other *Sketch) {
	for i := range s.cells {
		c, o := &s.cells[i], &other.cells[i]
		c.key -= o.key
		c.version -= o.version
		c.check -= o.check
	}
}

// Decode decodes a difference: added are the elements that only the first set has, removed those that only the
// subtracted one has. It fails if there are too many; the result is then incomplete. The sketch is consumed.
func (s *Sketch) Decode() (added, removed []Element, ok bool) {
	queue := make([]int, 0, len(s.cells))
	for i := range s.cells {
		queue = append(queue, i)
	}
	for len(queue) > 0 {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		e, digest, sign := s.single(at)
		if sign == 0 {
			continue
		}
		if len(added)+len(removed) >= len(s.cells) {
			return added, removed, false // hostile cells could loop forever
		}
		if sign > 0 {
			added = append(added, e)
			s.remove(e, digest)
		} else {
			removed = append(removed, e)
			s.add(e, digest)
		}
		for i := range sketchPlaces {
			queue = append(queue, int(s.place(digest, i)))
		}
	}
	for i := range s.cells {
		if s.cells[i] != (cell{}) {
			return added, removed, false
		}
	}
	return added, removed, true
}

// single reports whether a cell holds exactly one element, and on which side.
func (s *Sketch) single(at int) (e Element, digest uint64, sign int) {
	c := &s.cells[at]
	if *c == (cell{}) {
		return e, 0, 0
	}
	e = Element{Key: c.key, Version: c.version}
	if digest = e.Digest(); checkOf(digest) == c.check && s.among(digest, at) {
		return e, digest, 1
	}
	e = Element{Key: -c.key, Version: -c.version}
	if digest = e.Digest(); checkOf(digest) == -c.check && s.among(digest, at) {
		return e, digest, -1
	}
	return e, 0, 0
}

func (s *Sketch) among(digest uint64, at int) bool {
	for i := range sketchPlaces {
		if s.place(digest, i) == uint64(at) {
			return true
		}
	}
	return false
}

// Append appends the cells: key, version and check of each, little endian.
func (s *Sketch) Append(dst []byte) []byte {
	for i := range s.cells {
		c := &s.cells[i]
		dst = binary.LittleEndian.AppendUint64(dst, c.key)
		dst = binary.LittleEndian.AppendUint64(dst, c.version)
		dst = binary.LittleEndian.AppendUint32(dst, c.check)
	}
	return dst
}

// ParseSketch reads what Append wrote.
func ParseSketch(b []byte) (*Sketch, error) {
	cells := len(b) / SketchCellBytes
	if cells*SketchCellBytes != len(b) || cells < MinSketchCells || cells > MaxSketchCells || cells&(cells-1) != 0 {
		return nil, fmt.Errorf(
			"invalid sketch size of %d bytes, expected a power of two of %d to %d cells",
			len(b),
			MinSketchCells,
			MaxSketchCells,
		)
	}
	s := NewSketch(cells)
	for i := range s.cells {
		from := b[i*SketchCellBytes:]
		s.cells[i] = cell{
			key: binary.LittleEndian.Uint64(
				from,
			), version: binary.LittleEndian.Uint64(from[8:]), check: binary.LittleEndian.Uint32(from[16:]),
		}
	}
	return s, nil
}
