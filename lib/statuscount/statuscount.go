// Package statuscount counts responses by their status, and shows the counts like the API of NGINX Plus.
package statuscount

import (
	"strconv"
	"sync/atomic"
)

const (
	first, end = 100, 600 // valid statuses
	classes    = 5
	// pageCodes is the number of codes with memory of their own. Most counters see a dozen codes, so pages are made at
	// their first use: 256 bytes each, whole cache lines.
	pageCodes = 32
	pages     = (end - first + pageCodes - 1) / pageCodes
)

// Counter counts by class and by code. The zero value is ready, and safe for concurrent use.
type Counter struct {
	classes [classes]atomic.Uint64
	codes   [pages]atomic.Pointer[[pageCodes]atomic.Uint64]
}

// Count counts one response. A status outside of the five classes is not counted.
func (c *Counter) Count(status int) {
	if status < first || status >= end {
		return
	}
	c.classes[status/100-1].Add(1)
	at := &c.codes[(status-first)/pageCodes]
	page := at.Load()
	if page == nil {
		at.CompareAndSwap(nil, new([pageCodes]atomic.Uint64))
		page = at.Load()
	}
	page[(status-first)%pageCodes].Add(1)
}

// Code returns the number of responses with a status.
func (c *Counter) Code(status int) uint64 {
	if status < first || status >= end {
		return 0
	}
	page := c.codes[(status-first)/pageCodes].Load()
	if page == nil {
		return 0
	}
	return page[(status-first)%pageCodes].Load()
}

// Reset sets all counts to zero.
func (c *Counter) Reset() {
	for i := range c.classes {
		c.classes[i].Store(0)
	}
	for i := range c.codes {
		if page := c.codes[i].Load(); page != nil {
			for j := range page {
				page[j].Store(0)
			}
		}
	}
}

// Figures are the counts as the API shows them.
type Figures struct {
	Class1xx uint64            `json:"1xx"`
	Class2xx uint64            `json:"2xx"`
	Class3xx uint64            `json:"3xx"`
	Class4xx uint64            `json:"4xx"`
	Class5xx uint64            `json:"5xx"`
	Codes    map[string]uint64 `json:"codes"`
	Total    uint64            `json:"total"`
}

// Sum adds up counters.
func Sum(counters ...*Counter) Figures {
	f := Figures{Codes: map[string]uint64{}}
	for _, c := range counters {
		for i, to := range []*uint64{&f.Class1xx, &f.Class2xx, &f.Class3xx, &f.Class4xx, &f.Class5xx} {
			n := c.classes[i].Load()
			*to += n
			f.Total += n
		}
		for code := first; code < end; code++ {
			if n := c.Code(code); n != 0 {
				f.Codes[strconv.Itoa(code)] += n
			}
		}
	}
	return f
}
