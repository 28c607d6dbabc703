package admin

import (
	"bytes"
	"container/heap"
	"net/http"
	"slices"
	"strconv"
)

// Limits of one page of records. A record has at most a key of 64 KB and a value that the resource cuts.
const (
	defaultRecords = 100
	maxRecords     = 200
	maxSearchBytes = 1 << 10
)

// Page is what a client wants to see of many records: those with keys after one, in the order of keys, that contain a
// text.
type Page struct {
	Limit         int
	Search, After []byte
}

// ReadPage reads limit=, search= and after=.
func ReadPage(call *Call) (p Page, problem *APIError) {
	p = Page{Limit: defaultRecords, Search: []byte(call.Query.Get("search")), After: []byte(call.Query.Get("after"))}
	if len(p.Search) > maxSearchBytes {
		return p, badArgument("search is longer than " + strconv.Itoa(maxSearchBytes) + " bytes")
	}
	if text := call.Query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxRecords {
			return p, badArgument("limit must be between 1 and " + strconv.Itoa(maxRecords))
		}
		p.Limit = n
	}
	return p, nil
}

func badArgument(text string) *APIError {
	return &APIError{Status: http.StatusBadRequest, Code: "BadArgument", Text: text}
}

// Records is the answer: the records of the page, how many there are, and how many match the search.
type Records[R any] struct {
	Total   int  `json:"total"`
	Matches int  `json:"matches"`
	More    bool `json:"more"` // records follow this page
	Records []R  `json:"records"`
}

// Browser picks the records of a page from all, in whatever order they come, in memory for one page.
type Browser[R any] struct {
	page  Page
	total int
	match int
	after int // that match and are after the last page
	best  byKey[R]
}

// NewBrowser makes one for a page.
func NewBrowser[R any](p Page) *Browser[R] { return &Browser[R]{page: p} }

// Offer considers a record; make is called only if it may be on the page. The texts are not kept.
func (b *Browser[R]) Offer(key, value []byte, make func() R) {
	b.total++
	if !bytes.Contains(key, b.page.Search) && !bytes.Contains(value, b.page.Search) {
		return
	}
	b.match++
	if len(b.page.After) > 0 && bytes.Compare(key, b.page.After) <= 0 {
		return
	}
	b.after++
	if len(b.best) == b.page.Limit && bytes.Compare(key, b.best[0].key) >= 0 {
		return
	}
	heap.Push(&b.best, keyed[R]{bytes.Clone(key), make()})
	if len(b.best) > b.page.Limit {
		heap.Pop(&b.best)
	}
}

// Records is the page.
func (b *Browser[R]) Records() Records[R] {
	slices.SortFunc(b.best, func(x, y keyed[R]) int { return bytes.Compare(x.key, y.key) })
	out := Records[R]{Total: b.total, Matches: b.match, More: b.after > len(b.best), Records: []R{}}
	for _, k := range b.best {
		out.Records = append(out.Records, k.record)
	}
	return out
}

type keyed[R any] struct {
	key    []byte
	record R
}

// byKey is a heap whose first element has the greatest key.
type byKey[R any] []keyed[R]

func (h byKey[R]) Len() int           { return len(h) }
func (h byKey[R]) Less(i, k int) bool { return bytes.Compare(h[i].key, h[k].key) > 0 }
func (h byKey[R]) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *byKey[R]) Push(x any)        { *h = append(*h, x.(keyed[R])) }

func (h *byKey[R]) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
