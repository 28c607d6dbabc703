package ssl

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"starling/conf"
)

// The defaults of ssl_certificate_cache are nginx's.
const (
	defaultCacheInactive = 10 * time.Second
	defaultCacheValid    = time.Minute
)

// CertificateCache is the cache of one ssl_certificate_cache or proxy_ssl_certificate_cache: certificates and keys
// whose names have variables, as separate items. When it is full, the least recently used item is evicted. It is safe
// for concurrent use.
type CertificateCache struct {
	max             int
	valid, inactive time.Duration

	mu    sync.Mutex
	items map[slot]*list.Element
	byUse list.List // of *item, the most recently used first
}

// slot identifies an item.
type slot struct {
	name  string
	isKey bool
}

type item struct {
	slot   slot
	value  any
	digest [sha256.Size]byte
	// readAt is when the file was last checked, usedAt when the item was used.
	readAt, usedAt time.Time
}

// fetch returns what parse makes of a file, from the cache if it has it; c may be nil. A file is read again if it was
// read longer than valid ago or if anew is set, but parsed only if it has changed. A value is not cached if parse
// returns keep as false.
func fetch[T any](
	c *CertificateCache,
	s slot,
	anew bool,
	read func() ([]byte, error),
	parse func([]byte) (value T, keep bool, err error),
) (T, error) {
	var none T
	now := time.Now()
	isText := strings.HasPrefix(s.name, dataScheme)
	if c != nil && isText {
		sum := sha256.Sum256([]byte(s.name))
		s.name = dataScheme + hex.EncodeToString(sum[:])
	}
	old, fresh := c.find(s, now, anew, isText)
	if fresh {
		return old.value.(T), nil
	}
	data, err := read()
	if err != nil {
		c.forget(s)
		return none, err
	}
	found := item{slot: s, digest: sha256.Sum256(data), readAt: now, usedAt: now}
	if old.value != nil && old.digest == found.digest {
		found.value = old.value
		c.put(&found)
		return old.value.(T), nil
	}
	value, keep, err := parse(data)
	if err != nil || !keep {
		c.forget(s)
		return value, err
	}
	found.value = value
	c.put(&found)
	return value, nil
}

// find returns a copy of an item, without value if there is none, and whether it may be used without checking the file.
func (c *CertificateCache) find(s slot, now time.Time, anew, isText bool) (found item, fresh bool) {
	if c == nil {
		return item{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[s]
	if e == nil {
		return item{}, false
	}
	i := e.Value.(*item)
	if now.Sub(i.usedAt) > c.inactive {
		c.remove(e)
		return item{}, false
	}
	i.usedAt = now
	c.byUse.MoveToFront(e)
	return *i, isText || !anew && now.Sub(i.readAt) <= c.valid
}

// put replaces the item of its slot, and evicts others if needed.
func (c *CertificateCache) put(i *item) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[i.slot]; e != nil {
		e.Value = i
		c.byUse.MoveToFront(e)
		return
	}
	for e := c.byUse.Back(); e != nil; e = c.byUse.Back() {
		if len(c.items) < c.max && i.usedAt.Sub(e.Value.(*item).usedAt) <= c.inactive {
			break
		}
		c.remove(e)
	}
	c.items[i.slot] = c.byUse.PushFront(i)
}

func (c *CertificateCache) forget(s slot) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[s]; e != nil {
		c.remove(e)
	}
}

// remove must be called with the lock held.
func (c *CertificateCache) remove(e *list.Element) {
	delete(c.items, e.Value.(*item).slot)
	c.byUse.Remove(e)
}

// parseCertificateCache reads the arguments; off is nil.
func parseCertificateCache(a *conf.Args) (*CertificateCache, error) {
	c := &CertificateCache{valid: defaultCacheValid, inactive: defaultCacheInactive, items: map[slot]*list.Element{}}
	off := false
	for _, word := range a.Words {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "max":
			if c.max, err = conf.Number(value); c.max == 0 {
				err = conf.InvalidNumber
			}
		case "inactive":
			c.inactive, err = conf.Seconds(value)
		case "valid":
			c.valid, err = conf.Seconds(value)
		case "off":
			off = true
			if word != name {
				err = conf.InvalidValue
			}
		default:
			err = conf.InvalidValue
		}
		if err != nil {
			return nil, fmt.Errorf("invalid parameter \"%s\"", word)
		}
	}
	switch {
	case off:
		return nil, nil
	case c.max == 0:
		return nil, fmt.Errorf("\"%s\" must have the \"max\" parameter", a.Node.Name)
	}
	return c, nil
}
