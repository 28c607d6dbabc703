package lookup

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"starling/side"
)

// ranges are the lines of a geo block with "ranges": IPv4 addresses from first to last. During reading they are in
// blocks of 65536 addresses, each sorted and without overlap, because nginx reports overlaps by such blocks.
type ranges[C side.Subject] struct {
	blocks map[uint16][]span[C]
	sorted []span[C]
}

type span[C side.Subject] struct {
	first, last uint32
	value       *choice[C]
}

var errOverlaps = errors.New("overlaps another one")

func newRanges[C side.Subject]() *ranges[C] { return &ranges[C]{blocks: map[uint16][]span[C]{}} }

// parseRange reads "192.0.2.0-192.0.2.255".
func parseRange(text string) (first, last uint32, ok bool) {
	from, to, found := strings.Cut(text, "-")
	a, errA := netip.ParseAddr(from)
	b, errB := netip.ParseAddr(to)
	if !found || errA != nil || errB != nil || !a.Is4() || !b.Is4() {
		return 0, 0, false
	}
	first, last = number(a), number(b)
	return first, last, first <= last
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// eachBlock cuts a range at the borders of blocks.
func eachBlock(first, last uint32, visit func(block uint16, first, last uint32)) {
	for {
		end := min(last, first|0xffff)
		visit(uint16(first>>16), first, end)
		if end == last {
			return
		}
		first = end + 1
	}
}

// add inserts a range, as ngx_http_geo_add_range does. A range inside another replaces that part of it; an equal range
// replaces the old one, which is returned as old. Any other overlap is an error.
func (r *ranges[C]) add(first, last uint32, value *choice[C]) (old *choice[C], err error) {
	eachBlock(first, last, func(block uint16, first, last uint32) {
		if err != nil {
			return
		}
		spans, replaced, problem := insert(r.blocks[block], span[C]{first, last, value})
		if r.blocks[block], err = spans, problem; replaced != nil {
			old = replaced
		}
	})
	return old, err
}

func insert[C side.Subject](spans []span[C], s span[C]) (_ []span[C], old *choice[C], err error) {
	at, _ := slices.BinarySearchFunc(
		spans,
		s.first,
		func(t span[C], first uint32) int { return cmp.Compare(t.last, first) },
	)
	// spans[at] is the first that does not end before s begins.
	if at == len(spans) || s.last < spans[at].first {
		return slices.Insert(spans, at, s), nil, nil
	}
	t := spans[at]
	switch {
	case s.first == t.first && s.last == t.last:
		spans[at].value = s.value
		return spans, t.value, nil
	case s.first < t.first || s.last > t.last:
		return spans, nil, errOverlaps
	}
	pieces := make([]span[C], 0, 3)
	if s.first > t.first {
		pieces = append(pieces, span[C]{t.first, s.first - 1, t.value})
	}
	pieces = append(pieces, s)
	if s.last < t.last {
		pieces = append(pieces, span[C]{s.last + 1, t.last, t.value})
	}
	return slices.Replace(spans, at, at+1, pieces...), nil, nil
}

// remove removes a range that was added with the same ends, cut by blocks or not; false means that a part was missing.
func (r *ranges[C]) remove(first, last uint32) (whole bool) {
	whole = true
	eachBlock(first, last, func(block uint16, first, last uint32) {
		before := len(r.blocks[block])
		r.blocks[block] = slices.DeleteFunc(
			r.blocks[block],
			func(t span[C]) bool { return t.first == first && t.last == last },
		)
		whole = whole && len(r.blocks[block]) < before
	})
	return whole
}

// finish merges the blocks into one sorted list.
func (r *ranges[C]) finish() {
	for _, spans := range r.blocks {
		r.sorted = append(r.sorted, spans...)
	}
	slices.SortFunc(r.sorted, func(a, b span[C]) int { return cmp.Compare(a.first, b.first) })
	joined := r.sorted[:0]
	for _, s := range r.sorted {
		if n := len(joined); n > 0 && joined[n-1].value == s.value && joined[n-1].last+1 == s.first {
			joined[n-1].last = s.last
			continue
		}
		joined = append(joined, s)
	}
	r.sorted, r.blocks = slices.Clip(joined), nil
}

// find looks an address up; IPv6 addresses are in no range and count as no address.
func (r *ranges[C]) find(addr netip.Addr) *choice[C] {
	if !addr.Is4() {
		addr = noAddress
	}
	n := number(addr)
	at, _ := slices.BinarySearchFunc(r.sorted, n, func(s span[C], n uint32) int { return cmp.Compare(s.last, n) })
	if at == len(r.sorted) || r.sorted[at].first > n {
		return nil
	}
	return r.sorted[at].value
}
