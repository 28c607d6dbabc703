package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/web"
)

// origin is the origin of a page, as browsers send it (RFC 6454): the host in lower case, of IPv6 in its shortest form
// with brackets.
type origin struct {
	secure bool // https
	host   string
	port   uint16
}

// Default ports of the two schemes.
const (
	portOfHTTP  = 80
	portOfHTTPS = 443
)

// maxOriginBytes is more than the longest name with scheme and port needs.
const maxOriginBytes = 300

// parseOrigin reads "scheme://host[:port]" and nothing else. "null" is no origin, because any page can have it.
func parseOrigin(text string) (o origin, ok bool) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || len(text) > maxOriginBytes {
		return o, false
	}
	switch strings.ToLower(scheme) {
	case "http":
		o.port = portOfHTTP
	case "https":
		o.secure, o.port = true, portOfHTTPS
	default:
		return o, false
	}
	host := rest
	if at := strings.LastIndexByte(rest, ':'); at > strings.LastIndexByte(rest, ']') {
		port, err := strconv.ParseUint(rest[at+1:], 10, 16)
		if err != nil {
			return o, false
		}
		host, o.port = rest[:at], uint16(port)
	}
	o.host = plainHost(host)
	return o, o.host != "" && !strings.ContainsAny(o.host, "/?#@\\*, \t")
}

// plainHost normalizes the spellings of a host.
func plainHost(host string) string {
	if inner, isLiteral := strings.CutPrefix(host, "["); isLiteral {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || !strings.HasSuffix(inner, "]") {
			return ""
		}
		return "[" + addr.String() + "]"
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func parseOriginOf(text string) (origin, error) {
	o, ok := parseOrigin(text)
	if !ok {
		return o, fmt.Errorf(
			"invalid origin \"%s\", expected http or https, a host and an optional port, such as "+
				"https://admin.example.com:8443",
			text,
		)
	}
	return o, nil
}

// setOrigins takes the values of api_allow_origin.
func setOrigins(s *Settings, a *conf.Args) error {
	s.origins = nil
	for _, word := range a.Words {
		o, err := parseOriginOf(word)
		if err != nil {
			return err
		}
		s.origins = append(s.origins, o)
	}
	return nil
}

// isHost reports whether the page comes from the host that the request names. If this server uses no TLS, a proxy
// before it may: a port missing in Host is then the default of the page's scheme.
func (o origin) isHost(r *web.Request) bool {
	secured := r.Conn.TLS != nil
	if secured && !o.secure {
		return false
	}
	port := r.Port
	if port == 0 {
		port = portOfHTTP
		if o.secure {
			port = portOfHTTPS
		}
	}
	return len(r.Host) > 0 && o.port == port && o.host == plainHost(string(r.Host))
}

// foreign returns why a write comes from a page of another site, or "". Browsers send such writes without asking first,
// with the rights of the user's address here. Programs that are not browsers send neither header.
func (v *endpoint) foreign(r *web.Request) string {
	sent, allowed := false, false
	for i := r.Headers.Lookup("origin", 0); i >= 0; i = r.Headers.Lookup("origin", i+1) {
		text := string(r.Headers[i].Value)
		o, ok := parseOrigin(text)
		named := ok && slices.Contains(v.settings.origins, o)
		if !named && (!ok || !o.isHost(r)) {
			return fmt.Sprintf("Origin \"%s\" does not match the Host header", text[:min(len(text), maxOriginBytes)])
		}
		sent, allowed = true, named
	}
	for i := r.Headers.Lookup("sec-fetch-site", 0); i >= 0; i = r.Headers.Lookup("sec-fetch-site", i+1) {
		site := strings.ToLower(string(r.Headers[i].Value))
		switch {
		case site == "same-origin", site == "none", allowed:
		case site == "same-site" && sent: // the Origin was already checked
		default:
			return "Sec-Fetch-Site header indicates a cross-site request"
		}
	}
	return ""
}

// admit rejects writes that pages of other sites make a browser send.
func (v *endpoint) admit(r *web.Request, method string) *admin.APIError {
	if method == http.MethodGet {
		return nil
	}
	why := v.foreign(r)
	if why == "" {
		return nil
	}
	r.Logf(logs.Error, "API write rejected: %s", why)
	return &admin.APIError{Status: http.StatusForbidden, Code: "CrossSiteWrite",
		Text: why + ": write rejected; allow other origins with \"api_allow_origin\""}
}
