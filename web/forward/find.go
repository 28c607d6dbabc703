package forward

import (
	"starling/lib/masked"
	"starling/logs"
	"starling/upstream/groups"
	"starling/web"
)

// aim finds where the request goes: that is fixed, or a URL with variables says it.
func (x *Exchange) aim() (groups.Target, web.Result) {
	x.group = nil
	if x.l.Target.ByRequest == nil {
		x.group = x.l.Target.group
		return groups.Target{}, web.Declined
	}
	r := x.Request
	url := string(r.Expand(x.l.Target.ByRequest))
	rest, scheme := x.l.family.cutScheme(url)
	if scheme == nil {
		r.Logf(logs.Error, "invalid URL prefix in \"%s\"", masked.URL(url))
		return groups.Target{}, 500
	}
	t, err := groups.ParseTarget(rest, scheme.Port, x.l.family.Has.URI)
	if err != nil {
		r.Logf(logs.Error, "%v", err)
		return t, 500
	}
	x.own = newDestination(url, &t, scheme)
	x.To = &x.own
	return t, web.Declined
}

// find finds the group of a URL with variables, unless a stored response has answered the request.
func (x *Exchange) find(t groups.Target) web.Result {
	if x.group != nil {
		return web.Declined
	}
	r := x.Request
	var err error
	if x.l.names != nil {
		r.Waits() // perhaps for a name server
	}
	if x.group, err = x.l.groups.Resolve(r, &t, x.l.names); err != nil {
		r.Logf(logs.Error, "%v", err)
		return 502
	}
	return web.Declined
}
