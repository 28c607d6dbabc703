package groups

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"starling/lib/masked"
	"starling/upstream"
)

// Target is a proxied URL without its scheme: "host:port/uri" or "unix:/path:/uri".
type Target struct {
	// Host is as written, IPv6 in brackets; or the path of a unix socket.
	Host string
	// Port is that of the URL or the default; NoPort means that none was written.
	Port   uint16
	NoPort bool
	URI    string
	Unix   bool
	// Text is the whole target as written.
	Text string
}

// TargetError is an invalid target; Text is nginx's, without the location.
type TargetError struct{ What, Text string }

func (e *TargetError) Error() string {
	text := strings.TrimPrefix(masked.URL("//"+e.Text), "//") // the part after the scheme
	return e.What + " in upstream \"" + text + "\""
}

// maxUnixPathBytes is what fits into a sockaddr_un.
const maxUnixPathBytes = 107

// ParseTarget parses a target like ngx_parse_url. Its error is a *TargetError.
func ParseTarget(text string, defaultPort uint16, uriAllowed bool) (Target, error) {
	t := Target{Text: text, Port: defaultPort, NoPort: true}
	fail := func(what string) (Target, error) { return t, &TargetError{what, text} }
	if scheme := "unix:"; len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
		path := text[len(scheme):]
		t.Unix, t.Port = true, 0
		if uriAllowed {
			path, t.URI, _ = strings.Cut(path, ":")
		}
		t.Host = path
		switch {
		case path == "":
			return fail("no path in the unix domain socket")
		case len(path) > maxUnixPathBytes:
			return fail("too long path in the unix domain socket")
		}
		return t, nil
	}
	rest := text
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		if !uriAllowed {
			return fail("invalid host")
		}
		rest, t.URI = rest[:at], rest[at:]
	}
	host, port := rest, ""
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return fail("invalid host")
		}
		if ip, err := netip.ParseAddr(rest[1:end]); err != nil || !ip.Is6() {
			return fail("invalid IPv6 address")
		}
		host, port = rest[:end+1], rest[end+1:]
		if port != "" && port[0] != ':' {
			return fail("invalid host")
		}
		if port != "" {
			t.NoPort, port = false, port[1:]
		}
	} else if at := strings.IndexByte(rest, ':'); at >= 0 {
		t.NoPort = false
		host, port = rest[:at], rest[at+1:]
	}
	if !t.NoPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return fail("invalid port")
		}
		t.Port = uint16(n)
	}
	if t.Host = host; host == "" {
		return fail("no host")
	}
	return t, nil
}

// Name returns the name of the target's group.
func (t *Target) Name() string {
	if t.Unix {
		return "unix:" + t.Host
	}
	return t.Host
}

// HostHeader returns the value of $proxy_host and the default Host header: without the scheme's default port.
func (t *Target) HostHeader(schemePort uint16) string {
	switch {
	case t.Unix:
		return "localhost"
	case t.NoPort || t.Port == schemePort:
		return t.Host
	}
	return t.Host + ":" + strconv.Itoa(int(t.Port))
}

// Literal is the address of a target that needs no name resolution.
func (t *Target) Literal() (upstream.Address, bool) {
	if t.Unix {
		return upstream.Unix(t.Host), true
	}
	ip, err := netip.ParseAddr(strings.Trim(t.Host, "[]"))
	if err != nil {
		return upstream.Address{}, false
	}
	return upstream.TCP(netip.AddrPortFrom(ip, t.Port)), true
}

// lookupTimeout limits the resolution of one name while a configuration is read; the system's own resolver can take
// longer with unreachable name servers.
const lookupTimeout = 30 * time.Second

// Addresses resolves a target while the configuration is read, as nginx does, IPv4 first. Its error is a *TargetError
// with that text: nginx names the whole address of a server, but only the host of a URL.
func (t *Target) Addresses(text string) ([]upstream.Address, error) {
	if a, ok := t.Literal(); ok {
		return []upstream.Address{a}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && !dns.IsNotFound {
			return nil, &TargetError{"host not found (" + dns.Err + ")", text}
		}
		return nil, &TargetError{"host not found", text}
	}
	var four, six []upstream.Address
	for _, ip := range ips {
		if a := upstream.TCP(netip.AddrPortFrom(ip, t.Port)); ip.Unmap().Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	return append(four, six...), nil
}
