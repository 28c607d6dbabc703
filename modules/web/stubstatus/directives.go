// Package stubstatus shows the counts of connections and requests as a short text.
package stubstatus

import (
	"fmt"
	"strconv"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "stub_status",
		Doc:   "Reports the numbers of connections and requests.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, _ conf.Context) { settings.(*Settings).On = false },
		Directives: []conf.Directive{{
			Name: "stub_status", Syntax: "[<ignored>]", In: conf.Server | conf.Location, Repeat: true,
			Doc: "Enables the status page in this location. The argument, required by nginx before 1.7.5, is ignored.",
			Set: conf.Raw(func(s *Settings, _ *conf.Args) error { s.On = true; return nil }),
		}},
	},
	Variables: []vars.Variable[*web.Request]{
		count(
			"active",
			"The number of client connections, including idle ones.",
			func(c counts) int64 { return c.active },
		),
		count(
			"reading",
			"The number of connections with an incomplete request header.",
			func(c counts) int64 { return c.reading },
		),
		count("writing", "The number of requests in flight.", func(c counts) int64 { return c.writing }),
		count("waiting", "The number of idle connections.", func(c counts) int64 { return c.waiting }),
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

// Settings of one block.
type Settings struct{ On bool }

// counts are those of one moment.
type counts struct {
	accepted, handled, requests       uint64
	active, reading, writing, waiting int64
}

func countsOf(r *web.Request) counts {
	p := r.Plan()
	figures, traffic := p.Connections.Figures(), p.Traffic().Figures()
	c := counts{
		accepted: figures.Accepted + figures.Dropped,
		handled:  figures.Accepted,
		requests: traffic.Requests,
		active:   figures.Active + figures.Idle,
		reading:  traffic.Reading,
		waiting:  figures.Idle,
	}
	c.writing = max(traffic.Current-c.reading, 0)
	return c
}

func count(name, doc string, of func(counts) int64) vars.Variable[*web.Request] {
	return vars.Variable[*web.Request]{Name: "connections_" + name, Doc: doc,
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			return strconv.AppendInt(dst, of(countsOf(r)), 10), true
		}}
}

func build(b *web.Block) (web.Handler, error) {
	if !conf.SettingsOf[Settings](b.Scope).On {
		return nil, nil
	}
	return func(r *web.Request) web.Result {
		if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead {
			return 405
		}
		c := countsOf(r)
		page := fmt.Appendf(
			nil,
			"Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: %d Writing: %d Waiting: "+
				"%d \n",
			c.active,
			c.accepted,
			c.handled,
			c.requests,
			c.reading,
			c.writing,
			c.waiting,
		)
		return r.Respond(200, "text/plain", page)
	}, nil
}
