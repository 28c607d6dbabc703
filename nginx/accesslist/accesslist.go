// Package accesslist decides by address, with the rules of allow and deny: the first match counts.
package accesslist

import (
	"errors"
	"net/netip"

	"github.com/gaissmai/bart"
)

// ErrInvalid is returned for a text that is not an address, a prefix, "all" or "unix:".
var ErrInvalid = errors.New("not an address, a prefix, \"all\" or \"unix:\"")

// Verdict is the decision of the rules on an address.
type Verdict int

// The verdicts.
const (
	NoMatch Verdict = iota
	Allowed
	Denied
)

// Rule is one line of a list.
type Rule struct {
	Allow  bool
	All    bool // every client
	Unix   bool // clients of unix sockets
	Prefix netip.Prefix
}

// ParseRule reads the parameter of allow or deny. lowBits reports that the prefix had bits set beyond its length, which
// have no meaning and deserve a warning.
func ParseRule(allow bool, text string) (rule Rule, lowBits bool, err error) {
	switch text {
	case "all":
		return Rule{Allow: allow, All: true}, false, nil
	case "unix:":
		return Rule{Allow: allow, Unix: true}, false, nil
	}
	prefix, lowBits, err := ParsePrefix(text)
	if err != nil {
		return Rule{}, false, err
	}
	return Rule{Allow: allow, Prefix: prefix}, lowBits, nil
}

// ParsePrefix reads an address or a prefix; lowBits as in ParseRule.
func ParsePrefix(text string) (prefix netip.Prefix, lowBits bool, err error) {
	prefix, err = netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, false, ErrInvalid
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	masked := prefix.Masked()
	return masked, masked != prefix, nil
}

// List is a compiled list of rules, read-only and safe for concurrent use.
//
// Lookups use the longest prefix, which equals the first matching rule because New omits any prefix that an earlier
// rule covers: it can never be the first. So of two nested prefixes in the table the longer one is always the earlier
// rule.
type List struct {
	table bart.Table[bool]
	unix  Verdict
}

// New compiles rules in their order. A prefix of IPv4-mapped addresses matches no IPv4 clients, as in nginx.
func New(rules []Rule) *List {
	l := &List{}
	for _, r := range rules {
		if (r.Unix || r.All) && l.unix == NoMatch {
			l.unix = verdict(r.Allow)
		}
		switch {
		case r.All:
			l.insert(netip.PrefixFrom(netip.IPv4Unspecified(), 0), r.Allow)
			l.insert(netip.PrefixFrom(netip.IPv6Unspecified(), 0), r.Allow)
		case !r.Unix:
			l.insert(r.Prefix, r.Allow)
		}
	}
	return l
}

func (l *List) insert(p netip.Prefix, allow bool) {
	if _, covered := l.table.LookupPrefix(p); !covered {
		l.table.Insert(p, allow)
	}
}

// Check looks an address up. An IPv4 client of an IPv6 socket is an IPv4 client; the zero Addr is a client of a unix
// socket.
func (l *List) Check(addr netip.Addr) Verdict {
	if !addr.IsValid() {
		return l.unix
	}
	allow, found := l.table.Lookup(addr.Unmap())
	if !found {
		return NoMatch
	}
	return verdict(allow)
}

func verdict(allow bool) Verdict {
	if allow {
		return Allowed
	}
	return Denied
}
