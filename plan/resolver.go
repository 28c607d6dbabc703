package plan

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"starling/admin"
	"starling/conf"
	"starling/lib/resolver"
)

// ResolverSyntax is the syntax of the resolver directive on both sides.
const ResolverSyntax = "<address>... [valid=<time>] [ipv4=<flag>] [ipv6=<flag>] [status_zone=<name>]"

// ResolverUnsupported are the parameters of resolver that nginx knows and starling does not.
var ResolverUnsupported = []string{"tcp=", "local="}

// ResolverParams explains its parameters.
var ResolverParams = map[string]string{
	"valid":       "Caching time of responses; by default, their TTL.",
	"ipv4":        "`off` disables lookup of IPv4 addresses.",
	"ipv6":        "`off` disables lookup of IPv6 addresses.",
	"status_zone": "Name of the resolver's statistics in the API.",
}

// dnsPort is that of a name server given without one.
const dnsPort = "53"

// nameServerTimeout bounds the lookup of a name server that is itself given by name.
const nameServerTimeout = 10 * time.Second

// ResolverSettings are the bound resolver and resolver_timeout of one block. The zero value has no servers.
type ResolverSettings struct {
	Servers    []string // IP:port
	Valid      time.Duration
	NoIPv4     bool
	NoIPv6     bool
	StatusZone string
	Timeout    time.Duration // 0: the resolver's default
}

// Set stores a resolver directive; servers given by name are looked up at once, as nginx does.
func (s *ResolverSettings) Set(a *conf.Args) error {
	next := ResolverSettings{Timeout: s.Timeout, StatusZone: a.Value("status_zone")}
	for name, off := range map[string]*bool{"ipv4": &next.NoIPv4, "ipv6": &next.NoIPv6} {
		if value := a.Value(name); a.Has(name) && value != "on" && value != "off" {
			return fmt.Errorf("invalid parameter: %s=%s", name, value)
		}
		*off = a.Value(name) == "off"
	}
	if next.NoIPv4 && next.NoIPv6 {
		return fmt.Errorf("\"ipv4\" and \"ipv6\" cannot both be \"off\"")
	}
	if a.Has("valid") {
		valid, err := conf.Seconds(a.Value("valid"))
		if err != nil {
			return fmt.Errorf("invalid parameter: valid=%s", a.Value("valid"))
		}
		next.Valid = valid
	}
	for _, word := range a.Values("address") {
		found, err := nameServers(word)
		if err != nil {
			return err
		}
		next.Servers = append(next.Servers, found...)
	}
	*s = next
	return nil
}

// nameServers turns address[:port] into IP:port.
func nameServers(word string) ([]string, error) {
	host, port, err := net.SplitHostPort(word)
	if err != nil {
		host, port = strings.Trim(word, "[]"), dnsPort
	}
	if n, err := net.LookupPort("udp", port); err != nil || n == 0 {
		return nil, fmt.Errorf("invalid port in resolver \"%s\"", word)
	}
	ctx, cancel := context.WithTimeout(context.Background(), nameServerTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("host not found in resolver \"%s\"", word)
	}
	var out []string
	for _, ip := range ips {
		if text := net.JoinHostPort(ip.Unmap().String(), port); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

// resolvers are those of one plan; blocks with equal settings share one, with its cache.
type resolvers struct{ byKey map[string]*resolver.Resolver }

// Resolver returns the resolver of a block's settings, nil without a resolver directive. A reload keeps those whose
// settings are unchanged, with their caches.
func (p *Plan) Resolver(s ResolverSettings) (*resolver.Resolver, error) {
	if len(s.Servers) == 0 {
		return nil, nil
	}
	key := fmt.Sprintf("%+v", s)
	mine := Part[resolvers](p)
	if r := mine.byKey[key]; r != nil {
		return r, nil
	}
	r := p.oldResolver(key)
	if r == nil {
		var err error
		r, err = resolver.New(resolver.Config{
			Servers:       s.Servers,
			ValidOverride: s.Valid,
			IPv4:          !s.NoIPv4,
			IPv6:          !s.NoIPv6,
			Timeout:       s.Timeout,
		})
		if err != nil {
			return nil, err
		}
	}
	if mine.byKey == nil {
		mine.byKey = map[string]*resolver.Resolver{}
	}
	mine.byKey[key] = r
	if s.StatusZone != "" {
		Part[ResolverZones](p).add(s.StatusZone, r)
	}
	return r, nil
}

func (p *Plan) oldResolver(key string) *resolver.Resolver {
	return Before[resolvers](p).byKey[key]
}

// ResolverZones are the resolvers of a plan that have a status_zone.
type ResolverZones struct{ byZone map[string]*resolver.Resolver }

func (z *ResolverZones) add(zone string, r *resolver.Resolver) {
	if z.byZone == nil {
		z.byZone = map[string]*resolver.Resolver{}
	}
	z.byZone[zone] = r
}

// Resource is /resolvers of the API.
func (z *ResolverZones) Resource() admin.Resource {
	return admin.Collection[*resolver.Resolver]{
		Path: "resolvers", Since: 5, Metrics: resolverMetrics(),
		Each: func(yield func(string, *resolver.Resolver) bool) { maps.All(z.byZone)(yield) },
		Missing: func(string) *admin.APIError {
			return &admin.APIError{
				Status: http.StatusNotFound,
				Code:   "ResolverZoneNotFound",
				Text:   "resolver zone not found",
			}
		},
		Show:   func(r *resolver.Resolver) any { return r.Counters.Report() },
		Delete: admin.Resets(func(r *resolver.Resolver) { r.Counters.Reset() }),
	}.Resource()
}

// resolverMetrics are the resolvers' Prometheus metrics, with the names of NGINX Plus's exporter.
func resolverMetrics() (list []admin.Metric) {
	for _, kind := range []string{"name", "srv", "addr"} {
		list = append(list, admin.Counter("nginxplus_resolver_"+kind, "*resolver.requests."+kind,
			"Requests to a resolver of the kind: "+kind+"."))
	}
	for _, outcome := range []string{
		"noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "timedout", "unknown",
	} {
		list = append(list, admin.Counter("nginxplus_resolver_"+outcome, "*resolver.responses."+outcome,
			"Responses of a resolver with the outcome: "+outcome+"."))
	}
	return list
}
