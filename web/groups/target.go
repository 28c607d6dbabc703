package groups

import "starling/upstreams"

// Target is what stands behind the scheme of a proxied URL: "host:port/uri" or "unix:/path:/uri".
type Target = upstreams.Target

// ParseTarget reads a target as ngx_parse_url does. Its error is a *upstreams.TargetError.
func ParseTarget(text string, defaultPort uint16, uriAllowed bool) (Target, error) {
	return upstreams.ParseTarget(text, defaultPort, uriAllowed)
}
