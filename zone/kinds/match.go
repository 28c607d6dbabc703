package kinds

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/gaissmai/bart"

	"starling/lib/clock"
)

// matcher finds the record of a key in zones where record and key are not equal. Its index follows the store's records;
// the store decides in the end, because a record may just have expired.
type matcher interface {
	watcher
	canonical(key []byte) ([]byte, error)
	lookup(k *Keyval, dst, key []byte, now clock.Reading) ([]byte, bool)
}

// networks is the index of type=ip. Its lock is taken after a shard's, or alone.
type networks struct {
	mu    sync.RWMutex
	table bart.Table[struct{}]
}

func newNetworks() *networks { return new(networks) }

// parseNetwork parses an address or a network. Host bits are cleared.
func parseNetwork(key []byte) (netip.Prefix, bool) {
	text := string(key)
	if slices.Contains(key, '/') {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return prefix, false
		}
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		return prefix.Masked(), true
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// appendNetwork writes a network; a single address without its prefix length.
func appendNetwork(dst []byte, prefix netip.Prefix) []byte {
	if prefix.IsSingleIP() {
		return prefix.Addr().AppendTo(dst)
	}
	return prefix.AppendTo(dst)
}

func (n *networks) canonical(key []byte) ([]byte, error) {
	prefix, ok := parseNetwork(key)
	if !ok {
		return nil, ErrKey
	}
	return appendNetwork(nil, prefix), nil
}

func (n *networks) appeared(key []byte) {
	if prefix, ok := parseNetwork(key); ok {
		n.mu.Lock()
		n.table.Insert(prefix, struct{}{})
		n.mu.Unlock()
	}
}

func (n *networks) gone(key []byte) {
	if prefix, ok := parseNetwork(key); ok {
		n.mu.Lock()
		n.table.Delete(prefix)
		n.mu.Unlock()
	}
}

// lookup tries the most specific network first, then wider ones if its record has just expired.
func (n *networks) lookup(k *Keyval, dst, key []byte, now clock.Reading) ([]byte, bool) {
	wanted, ok := parseAddr(key)
	if !ok {
		return dst, false
	}
	var text [64]byte
	for {
		n.mu.RLock()
		found, _, ok := n.table.LookupPrefixLPM(wanted)
		n.mu.RUnlock()
		if !ok {
			return dst, false
		}
		if dst, ok = k.appendExact(dst, appendNetwork(text[:0], found), now); ok {
			return dst, true
		}
		if found.Bits() == 0 {
			return dst, false
		}
		wanted = netip.PrefixFrom(found.Addr(), found.Bits()-1).Masked()
	}
}

// parseAddr parses an address to be looked up: text as in $remote_addr, or the bytes of $binary_remote_addr.
func parseAddr(key []byte) (netip.Prefix, bool) {
	var addr netip.Addr
	if isAddrText(key) {
		var err error
		// The string is not kept: only a zone (%eth0) would be, and there is none.
		if addr, err = netip.ParseAddr(unsafe.String(&key[0], len(key))); err != nil {
			return netip.Prefix{}, false
		}
	} else {
		var ok bool
		if addr, ok = netip.AddrFromSlice(key); !ok {
			return netip.Prefix{}, false
		}
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// maxAddrText is the longest spelling of an address, an IPv6 one that ends in an IPv4 one.
const maxAddrText = 45

func isAddrText(key []byte) bool {
	for _, c := range key {
		if (c < '0' || c > ':') && c != '.' && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return len(key) > 0 && len(key) <= maxAddrText
}

// prefixes is the index of type=prefix: the lengths of the stored keys. A lookup probes each, from the longest.
type prefixes struct {
	mu      sync.Mutex
	counts  map[int]int
	lengths atomic.Pointer[[]int] // descending; never changed once stored
}

func newPrefixes() *prefixes {
	p := &prefixes{counts: map[int]int{}}
	p.lengths.Store(new([]int))
	return p
}

func (p *prefixes) canonical(key []byte) ([]byte, error) { return key, nil }

func (p *prefixes) appeared(key []byte) { p.add(len(key), 1) }
func (p *prefixes) gone(key []byte)     { p.add(len(key), -1) }

func (p *prefixes) add(length, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.counts[length]
	p.counts[length] = before + n
	if before != 0 && before+n != 0 {
		return
	}
	if before+n == 0 {
		delete(p.counts, length)
	}
	lengths := make([]int, 0, len(p.counts))
	for length := range p.counts {
		lengths = append(lengths, length)
	}
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	p.lengths.Store(&lengths)
}

func (p *prefixes) lookup(k *Keyval, dst, key []byte, now clock.Reading) ([]byte, bool) {
	for _, length := range *p.lengths.Load() {
		if length > len(key) {
			continue
		}
		if found, ok := k.appendExact(dst, key[:length], now); ok {
			return found, true
		}
	}
	return dst, false
}
