package forward

import (
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/upstream/groups"
	"starling/vars"
	"starling/web"
)

// Target is the destination of PREFIX_pass.
type Target struct {
	// ByRequest is the URL if it has variables; everything else is then determined per request.
	ByRequest *vars.Template[*web.Request]
	// URL is as written.
	URL string
	Destination
	// Location is the prefix of the path that the URI replaces.
	Location string

	group *group
}

// Destination is a URL without its group.
type Destination struct {
	// Host is that of the URL, with its port unless that is the scheme's default ($proxy_host); Port is the port
	// ($proxy_port).
	Host, Port string
	// URI is the URI part of the URL, empty if there is none.
	URI string

	tls bool
	// scheme precedes the addresses of servers in logs; prefix, the scheme as written, precedes the group.
	scheme, prefix string
	// name is the host to verify in TLS.
	name string
}

// TLS reports whether connections are encrypted.
func (d *Destination) TLS() bool { return d.tls }

// cutScheme cuts the scheme off the argument of PREFIX_pass.
func (f *Family) cutScheme(url string) (rest string, s *Scheme) {
	for i := range f.Schemes {
		s := &f.Schemes[i]
		if len(url) >= len(s.Text) && strings.EqualFold(url[:len(s.Text)], s.Text) {
			return url[len(s.Text):], s
		}
	}
	return "", nil
}

func newDestination(url string, t *groups.Target, s *Scheme) Destination {
	d := Destination{tls: s.TLS, Host: t.HostHeader(s.Port), URI: t.URI, name: t.Host, scheme: s.Shown}
	if d.prefix = url[:len(url)-len(t.Text)]; d.prefix == "" {
		d.prefix = s.Shown
	}
	if !t.Unix {
		d.Port = strconv.Itoa(int(t.Port))
	}
	return d
}

// setPass is PREFIX_pass.
func (s *Settings) setPass(f *Family, a *conf.Args) error {
	url, p := a.Words[0], side.PlanOf(a)
	if f.Has.URL {
		compiled, err := web.Side.Compile(a, url)
		if err != nil {
			return err
		}
		if _, literal := compiled.Literal(); !literal {
			s.Target = &Target{ByRequest: &compiled, URL: url}
			return nil
		}
	}
	rest, scheme := f.cutScheme(url)
	if scheme == nil {
		return fmt.Errorf("invalid URL prefix")
	}
	parsed, err := groups.ParseTarget(rest, scheme.Port, f.Has.URI)
	if err != nil {
		return err
	}
	t := &Target{URL: url, Destination: newDestination(url, &parsed, scheme)}
	known := groups.Of[*web.Request](p)
	if parsed.Port == 0 && !parsed.Unix && known.Find(&parsed) == nil {
		return &groups.TargetError{What: "no port", Text: parsed.Host}
	}
	if t.group, err = known.Refer(parsed, a.Node, p.Clock.Now()); err != nil {
		return err
	}
	if t.Location = replaceable(a); t.Location == "" && t.URI != "" {
		return fmt.Errorf("\"%s\" cannot have URI part in location given by regular expression, "+
			"or inside named location, or inside \"if\" statement, or inside \"limit_except\" block", a.Node.Name)
	}
	s.Target = t
	return nil
}

// replaceable is the name of the location around a directive if its requests have a prefix that a URI can replace.
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
