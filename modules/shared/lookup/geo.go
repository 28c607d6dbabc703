package lookup

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"

	"starling/conf"
	"starling/nginx/accesslist"
	"starling/nginx/trusted"
	"starling/side"
	"starling/vars"
)

// noAddress is looked up for clients without an IP and for texts that are not addresses.
var noAddress = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// geo is one geo block.
type geo[C side.Subject] struct {
	family *family[C]
	source *vars.Use[C] // nil: the client's address

	networks *bart.Table[*choice[C]] // nil with ranges
	ranges   *ranges[C]              // nil without
	fallback *choice[C]

	proxies   *trusted.Networks // nil: no header is trusted
	recursive bool
}

func (s *family[C]) declareGeo(a *conf.Args) error {
	p := side.PlanOf(a)
	g := &geo[C]{family: s, networks: new(bart.Table[*choice[C]]), fallback: none[C]()}
	if len(a.Words) == 2 {
		var err error
		if g.source, err = s.side.Variables(p).Variable(a.Words[0], a.Node); err != nil {
			return err
		}
	}
	name, err := variableName(a.Words[len(a.Words)-1])
	if err != nil {
		return err
	}
	r := geoReader[C]{geo: g, args: a, values: map[string]*choice[C]{}}
	for _, line := range a.Node.Block {
		if err := r.line(line); err != nil {
			return conf.At(line, "%s", err)
		}
	}
	if g.ranges != nil {
		g.ranges.finish()
	}
	return s.declare(a, name, "The geo value of an address.", r.volatile, g)
}

// geoReader reads the lines of a block.
type geoReader[C side.Subject] struct {
	*geo[C]
	args     *conf.Args
	volatile bool
	entries  int
	byWord   bool // "default" was given
	values   map[string]*choice[C]
}

func (r *geoReader[C]) line(line *conf.Node) error {
	switch {
	case len(line.Words) == 0 && line.Name == "ranges":
		if r.entries > 0 {
			return fmt.Errorf("the \"ranges\" directive must be the first directive inside \"geo\" block")
		}
		r.networks, r.ranges = nil, newRanges[C]()
		return nil
	case len(line.Words) == 0 && line.Name == "volatile":
		r.volatile = true
		return nil
	case len(line.Words) == 0 && line.Name == "proxy_recursive" && r.family.forwarded != nil:
		r.recursive = true
		return nil
	case len(line.Words) != 1:
		return fmt.Errorf("invalid number of the geo parameters")
	case line.Name == "proxy" && r.family.forwarded != nil:
		return r.proxy(line)
	case r.ranges != nil:
		return r.inRanges(line)
	}
	return r.inNetworks(line)
}

// value returns the choice of a word; equal words share one.
func (r *geoReader[C]) value(word string) *choice[C] {
	v := r.values[word]
	if v == nil {
		v = &choice[C]{literal: []byte(word)}
		r.values[word] = v
	}
	return v
}

func (r *geoReader[C]) network(line *conf.Node, text string) (netip.Prefix, error) {
	p, lowBits, err := accesslist.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("invalid network \"%s\"", text)
	}
	if lowBits {
		r.args.WarnAt(line, "low address bits of %s are meaningless", text)
	}
	return p, nil
}

func (r *geoReader[C]) proxy(line *conf.Node) error {
	p, err := r.network(line, line.Words[0])
	if err != nil {
		return err
	}
	if r.proxies == nil {
		r.proxies = new(trusted.Networks)
	}
	r.proxies.Add(p)
	return nil
}

func (r *geoReader[C]) inNetworks(line *conf.Node) error {
	r.entries++
	word := line.Words[0]
	switch line.Name {
	case "default":
		r.insert(line, netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		r.insert(line, netip.PrefixFrom(netip.IPv4Unspecified(), 0))
		return nil
	case "delete":
		p, err := r.network(line, word)
		if err != nil {
			return err
		}
		if _, found := r.networks.Get(p); !found {
			r.args.WarnAt(line, "no network \"%s\" to delete", word)
		}
		r.networks.Delete(p)
		return nil
	}
	p, err := r.network(line, line.Name)
	if err != nil {
		return err
	}
	r.insert(line, p)
	return nil
}

// insert adds a network; it replaces an existing one.
func (r *geoReader[C]) insert(line *conf.Node, p netip.Prefix) {
	word := line.Words[0]
	if old, found := r.networks.Get(p); found {
		r.args.WarnAt(line, "duplicate network \"%s\", value: \"%s\", old value: \"%s\"", line.Name, word, old.literal)
	}
	r.networks.Insert(p, r.value(word))
}

func (r *geoReader[C]) inRanges(line *conf.Node) error {
	word := line.Words[0]
	if line.Name == "default" {
		if r.byWord {
			return fmt.Errorf("duplicate default geo range value: \"%s\", old value: \"%s\"", word, r.fallback.literal)
		}
		r.byWord, r.fallback = true, r.value(word)
		return nil
	}
	text := line.Name
	if text == "delete" {
		text = word
	}
	first, last, ok := parseRange(text)
	if !ok {
		return fmt.Errorf("invalid range \"%s\"", text)
	}
	if line.Name == "delete" {
		if !r.ranges.remove(first, last) {
			r.args.WarnAt(line, "no address range \"%s\" to delete", text)
		}
		return nil
	}
	old, err := r.ranges.add(first, last, r.value(word))
	if err != nil {
		return fmt.Errorf("range \"%s\" %w", text, err)
	}
	if old != nil {
		r.args.WarnAt(line, "duplicate range \"%s\", value: \"%s\", old value: \"%s\"", text, word, old.literal)
	}
	return nil
}

// find looks the address up.
func (g *geo[C]) find(c C, dst []byte) (*choice[C], []byte) {
	var addr netip.Addr
	if g.source == nil {
		addr = c.Client()
	} else {
		start := len(dst)
		dst, _ = g.source.Append(dst, c)
		addr, _ = trusted.ParseAddr(dst[start:])
		dst = dst[:start]
	}
	if g.proxies != nil && addr.IsValid() {
		addr = g.family.forwarded(c, addr, g.proxies, g.recursive)
	}
	if addr = addr.Unmap(); !addr.IsValid() {
		addr = noAddress
	}
	var found *choice[C]
	if g.ranges != nil {
		found = g.ranges.find(addr)
	} else {
		found, _ = g.networks.Lookup(addr)
	}
	if found == nil {
		found = g.fallback
	}
	return found, dst
}
