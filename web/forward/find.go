package forward

import (
	"starling/lib/masked"
	"starling/logs"
	"starling/upstream/groups"
	"starling/web"
)

// find finds the request's group: it is fixed, or a URL with variables names it.
func (x *Exchange) find() web.Result {
	if x.l.Target.ByRequest == nil {
		x.group = x.l.Target.group
		return web.Declined
	}
	r := x.Request
	url := string(r.Expand(x.l.Target.ByRequest))
	rest, scheme := x.l.family.cutScheme(url)
	if scheme == nil {
		r.Logf(logs.Error, "invalid URL prefix in \"%s\"", masked.URL(url))
		return 500
	}
	t, err := groups.ParseTarget(rest, scheme.Port, true)
	if err != nil {
		r.Logf(logs.Error, "%v", err)
		return 500
	}
	x.own = newDestination(url, &t, scheme)
	x.To = &x.own
	if x.group, err = x.l.groups.Resolve(r, &t, x.l.names); err != nil {
		r.Logf(logs.Error, "%v", err)
		return 502
	}
	return web.Declined
}
