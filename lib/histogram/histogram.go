// Package histogram counts times in buckets, in copies (lib/stripes): counting takes no lock, does not allocate after
// the first time, and cores do not share cache lines.
package histogram

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"starling/lib/stripes"
)

// MaxBounds limits the buckets: each is a time series for each zone and server, and 8 bytes of each copy.
const MaxBounds = 32

// maxBound is more than any useful time of a request.
const maxBound = 24 * time.Hour

// Bounds are the upper bounds of the buckets, in ascending order, in whole milliseconds. Times above the last one have
// a bucket of their own.
type Bounds []time.Duration

// DefaultBounds are those of NGINX Plus.
var DefaultBounds = Bounds{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
}

// Check reports what is wrong with bounds that a user wrote.
func (b Bounds) Check() error {
	if len(b) == 0 || len(b) > MaxBounds {
		return fmt.Errorf("%d bounds, expected 1 to %d", len(b), MaxBounds)
	}
	for i, bound := range b {
		switch {
		case bound < time.Millisecond || bound > maxBound || bound%time.Millisecond != 0:
			return fmt.Errorf("bound %v is not a number of milliseconds between 1ms and %v", bound, maxBound)
		case i > 0 && bound <= b[i-1]:
			return errors.New("bounds are not in ascending order")
		}
	}
	return nil
}

// Histogram counts times in the buckets of its bounds. A nil one counts nothing.
type Histogram struct {
	bounds Bounds
	counts stripes.Stripes[counts]
}

type counts struct {
	buckets [MaxBounds + 1]atomic.Uint64
	sumMS   atomic.Uint64
}

// New returns an empty histogram.
func New(bounds Bounds) *Histogram { return &Histogram{bounds, stripes.New[counts]()} }

// Bounds are its buckets.
func (h *Histogram) Bounds() Bounds { return h.bounds }

// Count counts a time. Bounds are few, and most times are short: a search from the start is the fastest.
func (h *Histogram) Count(by *stripes.Pick, took time.Duration) {
	if h == nil {
		return
	}
	i := 0
	for i < len(h.bounds) && took > h.bounds[i] {
		i++
	}
	c := h.counts.At(by)
	by.Increment(&c.buckets[i])
	c.sumMS.Add(uint64(max(took.Milliseconds(), 0)))
}

// Reset sets all counts to zero.
func (h *Histogram) Reset() {
	for c := range h.counts.All() {
		for i := range c.buckets {
			c.buckets[i].Store(0)
		}
		c.sumMS.Store(0)
	}
}

// Figures are the counts as the API shows them.
type Figures struct {
	Count   uint64  `json:"count"`
	SumMS   uint64  `json:"sum"`
	Buckets Buckets `json:"buckets"`
}

// Buckets are the buckets in ascending order. Each counts only its own times, as in NGINX Plus.
type Buckets []Bucket

// Bucket is one bucket. Its name is its upper bound in milliseconds, or "inf".
type Bucket struct {
	Name  string
	Count uint64
}

// MarshalJSON writes an object in the order of the buckets.
func (b Buckets) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, bucket := range b {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), bucket.Name...), `":`...)
		out = strconv.AppendUint(out, bucket.Count, 10)
	}
	return append(out, '}'), nil
}

// Figures sums up the counters.
func (h *Histogram) Figures() (f Figures) {
	f.Buckets = make(Buckets, len(h.bounds)+1)
	for i, bound := range h.bounds {
		f.Buckets[i].Name = strconv.FormatInt(bound.Milliseconds(), 10)
	}
	f.Buckets[len(h.bounds)].Name = Infinite
	for c := range h.counts.All() {
		for i := range f.Buckets {
			n := c.buckets[i].Load()
			f.Buckets[i].Count += n
			f.Count += n
		}
		f.SumMS += c.sumMS.Load()
	}
	return f
}

// Infinite is the name of the last bucket.
const Infinite = "inf"

// Equal reports whether both have the same buckets.
func (b Bounds) Equal(other Bounds) bool { return slices.Equal(b, other) }
