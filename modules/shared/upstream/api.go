package upstream

import (
	"errors"
	"net/http"
	"strconv"

	"starling/admin"
	"starling/lib/clock"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/groups"
)

// Resource is /http/upstreams or /stream/upstreams: the groups that have a zone, as in NGINX Plus.
func (o *Options[S, C]) Resource(p *plan.Plan) admin.Resource {
	b := &branch[S, C]{Options: o, clock: p.Clock, groups: groups.Of[C](p).All()}
	return admin.Resource{Path: o.Side.Name + "/upstreams", Since: 1, Collection: true, Handle: b.handle, Metrics: o.Metrics}
}

type branch[S any, C side.Subject] struct {
	*Options[S, C]
	clock  *clock.Clock
	groups []*groups.Group[C]
}

func (b *branch[S, C]) report(g *groups.Group[C]) any { return b.Report(g.Group, b.clock.Now()) }

func (b *branch[S, C]) handle(call *admin.Call) admin.Answer {
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
		return admin.Answer{Body: all}
	}
	g := b.find(call.Tail[0])
	switch {
	case g == nil:
		return admin.Fail(http.StatusNotFound, "UpstreamNotFound", "upstream not found")
	case g.ZoneName == "":
		return admin.Fail(http.StatusBadRequest, "UpstreamStatic", "upstream \""+g.Name+"\" is static: add a \"zone\" directive to it")
	case len(call.Tail) == 1:
		return b.group(g, call)
	case call.Tail[1] != "servers" || len(call.Tail) > 3:
		return admin.Fail(http.StatusNotFound, "PathNotFound", "path not found")
	case len(call.Tail) == 2:
		return b.servers(g, call)
	}
	id, err := strconv.Atoi(call.Tail[2])
	if err != nil || id < 0 {
		return admin.Fail(http.StatusBadRequest, "UpstreamBadServerId", "invalid server ID")
	}
	return b.server(g, id, call)
}

func (b *branch[S, C]) find(name string) *groups.Group[C] {
	for _, g := range b.groups {
		if g.Declared && g.Name == name {
			return g
		}
	}
	return nil
}

func notAllowed() admin.Answer {
	return admin.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "method not allowed")
}

// group is one upstream: its figures, which DELETE sets to zero.
func (b *branch[S, C]) group(g *groups.Group[C], call *admin.Call) admin.Answer {
	switch call.Method {
	case http.MethodGet:
		return admin.Answer{Body: b.report(g)}
	case http.MethodDelete:
		g.ResetStats()
		return admin.Answer{Status: http.StatusNoContent}
	}
	return notAllowed()
}

// servers is the list of the servers of one upstream, to which POST adds one.
func (b *branch[S, C]) servers(g *groups.Group[C], call *admin.Call) admin.Answer {
	switch call.Method {
	case http.MethodGet:
		return admin.Answer{Body: g.Servers()}
	case http.MethodPost:
		return b.add(g, call)
	}
	return notAllowed()
}

func (b *branch[S, C]) add(g *groups.Group[C], call *admin.Call) admin.Answer {
	body, problem := readBody(b.ServerParams, call.Body)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	settings, problem := newServer(&body, g, b.DefaultPort)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	s, err := g.AddNew(settings, b.clock.Now())
	if err != nil {
		return refusal(err)
	}
	config, _ := g.Server(s.ID)
	return admin.Answer{Status: http.StatusCreated, Body: config}
}

// server is one server.
func (b *branch[S, C]) server(g *groups.Group[C], id int, call *admin.Call) admin.Answer {
	config, found := g.Server(id)
	if !found {
		return admin.Fail(http.StatusNotFound, servers.ServerNotFound, "server with ID \""+strconv.Itoa(id)+"\" does not exist")
	}
	switch call.Method {
	case http.MethodGet:
		return admin.Answer{Body: config}
	case http.MethodDelete:
		if err := g.Remove(id); err != nil {
			return refusal(err)
		}
		return admin.Answer{Body: g.Servers()}
	case http.MethodPatch:
		return b.change(g, config, call)
	}
	return notAllowed()
}

func (b *branch[S, C]) change(g *groups.Group[C], config servers.Config, call *admin.Call) admin.Answer {
	body, problem := readBody(b.ServerParams, call.Body)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	change, problem := body.change(config)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	if _, err := g.Change(config.ID, change, b.clock.Now()); err != nil {
		return refusal(err)
	}
	now, found := g.Server(config.ID)
	if !found { // another client has removed it meanwhile
		return admin.Fail(http.StatusNotFound, servers.ServerNotFound, "server with ID \""+strconv.Itoa(config.ID)+"\" does not exist")
	}
	return admin.Answer{Body: now}
}

// refusal words what a group said of a change.
func refusal(err error) admin.Answer {
	var refused *servers.EditError
	if !errors.As(err, &refused) {
		return admin.Fail(http.StatusInternalServerError, "InternalError", err.Error())
	}
	status := http.StatusBadRequest
	switch refused.Code {
	case servers.ServerNotFound:
		status = http.StatusNotFound
	case servers.EntryExists:
		status = http.StatusConflict
	}
	return admin.Fail(status, refused.Code, refused.Text)
}
