package upstream

import (
	"errors"
	"net/http"
	"strconv"

	"starling/admin"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/groups"
	"starling/upstream/health"
)

// Resource is /http/upstreams or /stream/upstreams: the groups that have a zone, as in NGINX Plus.
func (o *Options[S, C]) Resource(p *plan.Plan) admin.Resource {
	b := &branch[S, C]{Options: o, plan: p, groups: groups.Of[C](p).All()}
	return admin.Collection[*groups.Group[C]]{
		Path: o.Side.Name + "/upstreams", Since: 1, Metrics: o.Metrics,
		Each: b.shared, Find: b.find,
		Missing: func(string) *admin.APIError {
			return &admin.APIError{Status: http.StatusNotFound, Code: "UpstreamNotFound", Text: "upstream not found"}
		},
		Admit:  admit[C],
		Show:   func(g *groups.Group[C]) any { return b.Report(g.Group, b.plan.Clock.Now()) },
		Delete: admin.Resets(func(g *groups.Group[C]) { g.ResetStats() }),
		Below: map[string]func(*groups.Group[C], *admin.Call) admin.Answer{
			"servers": func(g *groups.Group[C], call *admin.Call) admin.Answer { return b.servers(g).Handle(call) },
			"changes": func(g *groups.Group[C], call *admin.Call) admin.Answer { return b.changes(g).Handle(call) },
			"health":  func(g *groups.Group[C], call *admin.Call) admin.Answer { return b.seen(g).Handle(call) },
		},
	}.Resource()
}

type branch[S any, C side.Subject] struct {
	*Options[S, C]
	plan   *plan.Plan
	groups []*groups.Group[C]
}

// shared are the groups that have a zone.
func (b *branch[S, C]) shared(yield func(string, *groups.Group[C]) bool) {
	for _, g := range b.groups {
		if g.ZoneName != "" && !yield(g.Name, g) {
			return
		}
	}
}

// find also finds groups without a zone: admit returns why they are not shown.
func (b *branch[S, C]) find(name string) (*groups.Group[C], bool) {
	for _, g := range b.groups {
		if g.Declared && g.Name == name {
			return g, true
		}
	}
	return nil, false
}

func admit[C side.Subject](g *groups.Group[C]) *admin.APIError {
	if g.ZoneName != "" {
		return nil
	}
	return &admin.APIError{
		Status: http.StatusBadRequest,
		Code:   "UpstreamStatic",
		Text:   "upstream \"" + g.Name + "\" is static: add a \"zone\" directive to it",
	}
}

// servers is the list of the servers of one upstream; POST adds one.
func (b *branch[S, C]) servers(g *groups.Group[C]) admin.Collection[servers.Config] {
	return admin.Collection[servers.Config]{
		All: func(*admin.Call) admin.Answer { return admin.Answer{Body: g.Servers()} },
		Add: func(call *admin.Call) admin.Answer { return b.add(g, call) },
		Find: func(text string) (config servers.Config, found bool) {
			if id, valid := parseID(text); valid {
				return g.Server(id)
			}
			return config, false
		},
		Missing: noServer,
		Patch:   func(config servers.Config, call *admin.Call) admin.Answer { return b.change(g, config, call) },
		Delete: func(config servers.Config, _ *admin.Call) admin.Answer {
			if err := g.Remove(config.ID, b.plan.Clock.Now()); err != nil {
				return refusal(err)
			}
			return admin.Answer{Body: g.Servers()}
		},
	}
}

// seen is what this node and the others make of the servers of one upstream, as far as the nodes take turns with its
// checks.
func (b *branch[S, C]) seen(g *groups.Group[C]) admin.Collection[health.Seen] {
	return admin.Collection[health.Seen]{
		All: func(*admin.Call) admin.Answer {
			list := []health.Seen{}
			if checks := plan.Find[health.Checks](b.plan); checks != nil {
				list = append(list, checks.SeenBy(g.Group)...)
			}
			return admin.Answer{Body: list}
		},
		Missing: func(string) *admin.APIError { return admin.PathNotFound() },
	}
}

func parseID(text string) (id int, valid bool) {
	id, err := strconv.Atoi(text)
	return id, err == nil && id >= 0
}

func noServer(text string) *admin.APIError {
	id, valid := parseID(text)
	if !valid {
		return &admin.APIError{Status: http.StatusBadRequest, Code: "UpstreamBadServerId", Text: "invalid server ID"}
	}
	return &admin.APIError{
		Status: http.StatusNotFound,
		Code:   servers.ServerNotFound,
		Text:   "server with ID \"" + strconv.Itoa(id) + "\" does not exist",
	}
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
	s, err := g.AddNew(settings, b.plan.Clock.Now())
	if err != nil {
		return refusal(err)
	}
	config, _ := g.Server(s.ID)
	return admin.Answer{Status: http.StatusCreated, Body: config}
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
	if _, err := g.Change(config.ID, change, b.plan.Clock.Now()); err != nil {
		return refusal(err)
	}
	now, found := g.Server(config.ID)
	if !found { // another client has removed it meanwhile
		return admin.Answer{Err: noServer(strconv.Itoa(config.ID))}
	}
	return admin.Answer{Body: now}
}

// refusal words a group's reason to reject a change.
func refusal(err error) admin.Answer {
	var refused *servers.EditError
	switch {
	case errors.Is(err, errReloaded):
		return admin.Fail(http.StatusServiceUnavailable, "ConfigurationReloaded", err.Error())
	case errors.Is(err, errReplacing):
		return admin.Fail(http.StatusServiceUnavailable, "BinaryReplaced", err.Error())
	case !errors.As(err, &refused):
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
