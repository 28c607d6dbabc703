package forward

import (
	"strings"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/resolver"
	"starling/nginx/ascii"
	"starling/plan"
	"starling/side"
	"starling/upstream/connect"
	"starling/upstream/groups"
	"starling/web"
	"starling/web/h1"
)

// group is a group of servers for requests.
type group = groups.Group[*web.Request]

// location is PREFIX_pass in one location, ready for requests.
type location struct {
	*Settings
	family    *Family
	protocol  Protocol
	passer    HeaderPasser // protocol, or nil
	upgrader  Upgrader     // protocol, or nil
	keyer     Keyer        // protocol, or nil
	caches    *caches      // of the configuration
	stores    *stores      // of the process; nil without PREFIX_store
	slot      int
	clock     *clock.Clock
	groups    *groups.List[*web.Request]
	names     *resolver.Resolver // for URLs with variables; nil without a resolver
	connector *connect.Connector[*web.Request]
	hidden    NameSet
	readBytes int  // how much of a body is read at once
	ranges    bool // PREFIX_force_ranges
	inFile    bool // client_body_in_file_only: an empty body has a file too
}

// Bounds of one read from a server: larger reads showed no gain.
const (
	minReadBytes = 4 << 10
	maxReadBytes = 64 << 10
)

// passes reports whether requests of a block are forwarded. limit_except inherits PREFIX_pass even where it cannot have
// one of its own.
func (s *Settings) passes(b *web.Block, f *Family) bool {
	return s.Target != nil && b.Current != nil && b.Scope.In&(f.Pass|conf.LimitExcept) != 0
}

func newLocation(b *web.Block, f *Family, s *Settings, p Protocol) (*location, error) {
	if strings.HasSuffix(b.Current.Name, "/") && b.Scope.In == conf.Location {
		b.Current.AutoRedirect = true
	}
	core := conf.SettingsOf[web.Settings](b.Scope)
	l := &location{Settings: s, family: f, protocol: p, clock: b.Plan.Clock,
		slot:   side.SlotOf[Exchange](&web.Side, b.Plan),
		groups: groups.Of[*web.Request](b.Plan), hidden: s.hiddenNames(),
		readBytes: min(max(s.buffers*s.eachBytes, minReadBytes), maxReadBytes),
		ranges:    s.forceRanges || f.Has.RangesAlways,
		inFile:    core.BodyInFile != web.BodyFileIfLarge}
	l.passer, _ = p.(HeaderPasser)
	l.upgrader, _ = p.(Upgrader)
	l.keyer, _ = p.(Keyer)
	l.caches = plan.Part[caches](b.Plan)
	if s.storing.on {
		l.stores = storesOf(b.Plan)
		b.KeepsTempFiles(&s.storing.temp, "responses will not be stored ("+f.Prefix+"_store)")
	}
	if f.Has.Request {
		b.KeepsBodies()
	}
	var err error
	if s.Target.ByRequest != nil {
		if l.names, err = b.Plan.Resolver(core.Resolver); err != nil {
			return nil, err
		}
	}
	s.connections.TLS.ALPN = f.ALPN
	l.connector, err = s.connections.Build(b.Plan, f.Prefix, b.Scope.Node,
		s.Target.ByRequest != nil && f.Has.TLS || s.Target.tls)
	return l, err
}

// NameSet is a set of header names: known ones by number, others in lower case.
type NameSet struct {
	known h1.KnownSet
	other []string
}

// Add adds a name in any case.
func (n *NameSet) Add(name string) {
	if id := h1.Identify([]byte(name)); id != h1.HeaderOther {
		n.known = n.known.With(id)
		return
	}
	n.other = append(n.other, strings.ToLower(name))
}

// Has reports whether the name of a header is in the set.
func (n *NameSet) Has(h *h1.Header) bool {
	if h.ID != h1.HeaderOther {
		return n.known.Has(h.ID)
	}
	for _, name := range n.other {
		if ascii.EqualString(h.Name, name) {
			return true
		}
	}
	return false
}

// hiddenNames are the headers that nginx hides from clients unless PREFIX_pass_header names them.
func (s *Settings) hiddenNames() NameSet {
	var n NameSet
	for _, name := range []string{"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect",
		"X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"} {
		passed := false
		for _, p := range s.pass {
			passed = passed || strings.EqualFold(p, name)
		}
		if !passed {
			n.Add(name)
		}
	}
	for _, name := range s.hide {
		n.Add(name)
	}
	return n
}
