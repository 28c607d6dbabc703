package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/groups"
)

// target is where proxy_pass sends requests.
type target struct {
	// byRequest is the URL where it has variables; all else is then found per request.
	byRequest *vars.Template[*web.Request]
	group     *groups.Group
	url       string
	Destination
	// location is the prefix of the path that the URI takes the place of.
	location string
}

// Destination is what a URL says besides the group.
type Destination struct {
	tls bool
	// host and port are $proxy_host and $proxy_port, prefix is the URL up to the URI, for logs.
	host, port, prefix string
	// uri is the URI part of the URL, empty if there is none.
	uri string
	// name is the host to verify in TLS.
	name string
}

// splitScheme cuts the scheme off a URL.
func splitScheme(url string) (rest string, defaultPort uint16, ok bool) {
	for _, s := range []struct {
		text string
		port uint16
	}{{"http://", 80}, {"https://", 443}} {
		if len(url) >= len(s.text) && strings.EqualFold(url[:len(s.text)], s.text) {
			return url[len(s.text):], s.port, true
		}
	}
	return "", 0, false
}

func newDestination(url string, t *groups.Target, schemePort uint16) Destination {
	d := Destination{tls: schemePort == 443, host: t.HostHeader(schemePort), uri: t.URI, name: t.Host}
	d.prefix = url[:len(url)-len(t.Text)]
	if !t.Unix {
		d.port = strconv.Itoa(int(t.Port))
	}
	return d
}

func setPass(s *Settings, a *conf.Args) error {
	url, p := a.Words[0], web.PlanOf(a)
	compiled, err := web.CompileTemplate(a, url)
	if err != nil {
		return err
	}
	if _, literal := compiled.Literal(); !literal {
		s.target = &target{byRequest: &compiled, url: url}
		return nil
	}
	rest, port, ok := splitScheme(url)
	if !ok {
		return fmt.Errorf("invalid URL prefix")
	}
	parsed, err := groups.ParseTarget(rest, port, true)
	if err != nil {
		return err
	}
	t := &target{url: url, Destination: newDestination(url, &parsed, port)}
	if t.group, err = groups.Of(p).Refer(parsed, a.Node, p.Clock.Now()); err != nil {
		return err
	}
	if t.location = replaceable(a); t.location == "" && t.uri != "" {
		return fmt.Errorf("\"proxy_pass\" cannot have URI part in location given by regular expression, " +
			"or inside named location, or inside \"if\" statement, or inside \"limit_except\" block")
	}
	s.target = t
	return nil
}

// replaceable is the name of the location around a directive whose requests have a prefix that a URI can take the place of.
func replaceable(a *conf.Args) string {
	if a.In != conf.Location {
		return ""
	}
	name := a.Scope.Words[0]
	if len(a.Scope.Words) == 2 {
		if name == "~" || name == "~*" {
			return ""
		}
		return a.Scope.Words[1]
	}
	switch {
	case strings.HasPrefix(name, "~"), strings.HasPrefix(name, "@"):
		return ""
	case strings.HasPrefix(name, "^~"):
		return name[2:]
	}
	return strings.TrimPrefix(name, "=")
}
