package proxy

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/resolver"
	"starling/logs"
	"starling/nginx/ascii"
	"starling/plan"
	"starling/ssl"
	"starling/upstream"
	"starling/vars"
	"starling/web"
	"starling/web/groups"
	"starling/web/h1"
)

// part is what the family keeps for a whole configuration.
type part struct {
	// slot is where a request keeps its exchange.
	slot int
}

func link(p *plan.Plan) error {
	plan.Part[part](p).slot = web.NewSlot(p)
	return nil
}

// location is proxy_pass in one location, ready for requests.
type location struct {
	*Settings
	to        *target
	slot      int
	clock     *clock.Clock
	registry  *groups.Registry
	names     *resolver.Resolver // for URLs with variables; nil without a resolver
	dialer    upstream.Dialer
	client    *ssl.Client                     // nil where TLS cannot be asked for
	finder    *ssl.ClientFinder[*web.Request] // nil where the certificate's name has no variables
	protocol  Protocol
	passer    HeaderPasser // protocol, or nil
	upgrader  Upgrader     // protocol, or nil
	hidden    nameSet
	readBytes int  // how much of a body is read at once
	inFile    bool // client_body_in_file_only: an empty body has a file too
	name      string
}

// Bounds of what is read from a server at once: larger reads gain nothing that was measured.
const (
	minReadBytes = 4 << 10
	maxReadBytes = 64 << 10
)

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.target == nil || b.Current == nil || b.Scope.In&passable == 0 {
		return nil, nil
	}
	if strings.HasSuffix(b.Current.Name, "/") && b.Scope.In == conf.Location {
		b.Current.AutoRedirect = true
	}
	core := conf.SettingsOf[web.CoreSettings](b.Scope)
	l := &location{Settings: s, to: s.target, slot: plan.Part[part](b.Plan).slot, clock: b.Plan.Clock, registry: groups.Of(b.Plan),
		readBytes: min(max(s.buffers*s.eachBytes, minReadBytes), maxReadBytes), inFile: core.BodyInFile != web.BodyFileIfLarge, name: b.Current.Name}
	b.KeepsBodies()
	l.dialer = upstream.Dialer{Timeout: s.connectTimeout, Probe: s.probe, Clock: b.Plan.Clock}
	l.hidden = hiddenNames(s)
	rewrites, err := s.redirectsOf(b.Plan)
	if err != nil {
		return nil, err
	}
	l.protocol = &protocol{Settings: s, head: newHeadPlan(s), rewrites: rewrites}
	l.passer, _ = l.protocol.(HeaderPasser)
	l.upgrader, _ = l.protocol.(Upgrader)
	if l.to.byRequest != nil {
		if l.names, err = b.Plan.Resolver(core.Resolver); err != nil {
			return nil, err
		}
	}
	if l.to.byRequest != nil || l.to.tls {
		if l.finder, err = s.tlsFiles.Finder(b.Plan, "proxy_ssl", s.tls.PasswordFile); err != nil {
			return nil, err
		}
		if l.client, err = tlsClient(b, s, l.finder == nil); err != nil {
			return nil, err
		}
	}
	return l.handle, nil
}

// tlsClient reads what proxy_ssl_* name; paired says that the certificate's name is known.
func tlsClient(b *web.Block, s *Settings, paired bool) (*ssl.Client, error) {
	bound := s.tls
	bound.NoSessionReuse = !s.reuse
	if paired {
		if err := bound.Pair("proxy_ssl"); err != nil {
			return nil, err
		}
	}
	if bound.Verify && len(bound.Trusted) == 0 {
		return nil, fmt.Errorf("no proxy_ssl_trusted_certificate for proxy_ssl_verify")
	}
	client, warnings, err := bound.ClientSettings.Build(b.Plan.ReadFile)
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%s in %s:%d", w, b.Scope.Node.File, b.Scope.Node.Line)
	}
	return client, err
}

// nameSet are header names: known ones by number, others in lower case.
type nameSet struct {
	known h1.KnownSet
	other []string
}

func (n *nameSet) add(name string) {
	if id := h1.Identify([]byte(name)); id != h1.HeaderOther {
		n.known = n.known.With(id)
		return
	}
	n.other = append(n.other, strings.ToLower(name))
}

func (n *nameSet) has(h *h1.Header) bool {
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

// hiddenNames are what nginx keeps from clients unless proxy_pass_header names it.
func hiddenNames(s *Settings) nameSet {
	var n nameSet
	for _, name := range []string{"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate",
		"X-Accel-Buffering", "X-Accel-Charset"} {
		passed := false
		for _, p := range s.pass {
			passed = passed || strings.EqualFold(p, name)
		}
		if !passed {
			n.add(name)
		}
	}
	for _, name := range s.hide {
		n.add(name)
	}
	return n
}

// of finds the exchange of a request, nil if it was not proxied.
func of(r *web.Request) *Exchange {
	p := r.Server.Scope.Env().(*plan.Plan)
	x, _ := r.Slot(plan.Part[part](p).slot).Data.(*Exchange)
	return x
}

type value = vars.Template[*web.Request]
