package upstreams

import (
	"errors"
	"net/http"
	"strconv"

	"starling/lib/clock"
	"starling/observe"
	"starling/plan"
	"starling/upstream"
)

// Resource is /http/upstreams or /stream/upstreams: the groups that have a zone, as in NGINX Plus.
func Resource[G any, P Member[G]](p *plan.Plan, side Side, all []P) observe.Resource {
	b := &branch{clock: p.Clock, side: side}
	for _, g := range all {
		b.groups = append(b.groups, g.base())
	}
	return observe.Resource{Path: side.Name + "/upstreams", Since: 1, Collection: true, Handle: b.handle, Metrics: side.metrics()}
}

type branch struct {
	clock  *clock.Clock
	side   Side
	groups []*Base
}

// report is a group's state in the words of its side.
func (b *branch) report(g *Base) any {
	if b.side.Name == Stream.Name {
		return g.StreamReport(b.clock.Now())
	}
	return g.Report(b.clock.Now())
}

func (b *branch) handle(call *observe.Call) observe.Answer {
	if len(call.Tail) == 0 {
		if call.Method != http.MethodGet {
			return notAllowed()
		}
		all := map[string]any{}
		for _, g := range b.groups {
			if g.ZoneName != "" {
				all[g.Name] = b.report(g)
			}
		}
		return observe.Answer{Body: all}
	}
	g := b.find(call.Tail[0])
	switch {
	case g == nil:
		return observe.Fail(http.StatusNotFound, "UpstreamNotFound", "upstream not found")
	case g.ZoneName == "":
		return observe.Fail(http.StatusBadRequest, "UpstreamStatic", "upstream \""+g.Name+"\" is static: give it a zone")
	case len(call.Tail) == 1:
		return b.group(g, call)
	case call.Tail[1] != "servers" || len(call.Tail) > 3:
		return observe.Fail(http.StatusNotFound, "PathNotFound", "path not found")
	case len(call.Tail) == 2:
		return b.servers(g, call)
	}
	id, err := strconv.Atoi(call.Tail[2])
	if err != nil || id < 0 {
		return observe.Fail(http.StatusBadRequest, "UpstreamBadServerId", "invalid server ID")
	}
	return b.server(g, id, call)
}

func (b *branch) find(name string) *Base {
	for _, g := range b.groups {
		if g.Declared && g.Name == name {
			return g
		}
	}
	return nil
}

func notAllowed() observe.Answer {
	return observe.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "method not allowed")
}

// group is one upstream: its figures, which DELETE sets to zero.
func (b *branch) group(g *Base, call *observe.Call) observe.Answer {
	switch call.Method {
	case http.MethodGet:
		return observe.Answer{Body: b.report(g)}
	case http.MethodDelete:
		g.ResetStats()
		return observe.Answer{Status: http.StatusNoContent}
	}
	return notAllowed()
}

// servers is the list of the servers of one upstream, to which POST adds one.
func (b *branch) servers(g *Base, call *observe.Call) observe.Answer {
	switch call.Method {
	case http.MethodGet:
		return observe.Answer{Body: g.Servers()}
	case http.MethodPost:
		return b.add(g, call)
	}
	return notAllowed()
}

func (b *branch) add(g *Base, call *observe.Call) observe.Answer {
	body, problem := readBody(b.side, call.Body)
	if problem != nil {
		return observe.Answer{Err: problem}
	}
	settings, problem := body.settings(b.side, g)
	if problem != nil {
		return observe.Answer{Err: problem}
	}
	s, err := g.AddNew(settings, b.clock.Now())
	if err != nil {
		return refusal(err)
	}
	config, _ := g.Server(s.ID)
	return observe.Answer{Status: http.StatusCreated, Body: config}
}

// server is one server.
func (b *branch) server(g *Base, id int, call *observe.Call) observe.Answer {
	config, found := g.Server(id)
	if !found {
		return observe.Fail(http.StatusNotFound, upstream.ServerNotFound, "server with ID \""+strconv.Itoa(id)+"\" does not exist")
	}
	switch call.Method {
	case http.MethodGet:
		return observe.Answer{Body: config}
	case http.MethodDelete:
		if err := g.Remove(id); err != nil {
			return refusal(err)
		}
		return observe.Answer{Body: g.Servers()}
	case http.MethodPatch:
		return b.change(g, config, call)
	}
	return notAllowed()
}

func (b *branch) change(g *Base, config upstream.Config, call *observe.Call) observe.Answer {
	body, problem := readBody(b.side, call.Body)
	if problem != nil {
		return observe.Answer{Err: problem}
	}
	change, problem := body.change(config)
	if problem != nil {
		return observe.Answer{Err: problem}
	}
	if _, err := g.Change(config.ID, change, b.clock.Now()); err != nil {
		return refusal(err)
	}
	now, found := g.Server(config.ID)
	if !found { // another client has removed it meanwhile
		return observe.Fail(http.StatusNotFound, upstream.ServerNotFound, "server with ID \""+strconv.Itoa(config.ID)+"\" does not exist")
	}
	return observe.Answer{Body: now}
}

// refusal words what a group said of a change.
func refusal(err error) observe.Answer {
	var refused *upstream.EditError
	if !errors.As(err, &refused) {
		return observe.Fail(http.StatusInternalServerError, "InternalError", err.Error())
	}
	status := http.StatusBadRequest
	switch refused.Code {
	case upstream.ServerNotFound:
		status = http.StatusNotFound
	case upstream.EntryExists:
		status = http.StatusConflict
	}
	return observe.Fail(status, refused.Code, refused.Text)
}
