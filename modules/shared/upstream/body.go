package upstream

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"starling/admin"
	"starling/nginx/units"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/groups"
)

// body is the body of POST and PATCH of a server; a nil field was not given.
type body struct {
	server, service, route     *string
	weight, maxConns, maxFails *int
	failTimeout, slowStart     *time.Duration
	backup, down, drain        *bool
}

func formatError(text string) *admin.APIError {
	return &admin.APIError{Status: http.StatusBadRequest, Code: "UpstreamConfFormatError", Text: text}
}

// readBody reads a JSON object. Text that is not JSON gets 415, a wrong member 400 with its own code if there is one;
// of several errors, the first in the text is reported. own are the parameters that only servers of this side have.
func readBody(own map[string]string, text []byte) (b body, problem *admin.APIError) {
	// The decoder would replace bytes that are not UTF-8: the server's name would differ from what was sent.
	if !json.Valid(text) || !utf8.Valid(text) {
		return b, &admin.APIError{Status: http.StatusUnsupportedMediaType, Code: "JsonError", Text: "json error"}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return b, formatError("invalid JSON: expected an object")
	}
	seen := map[string]bool{}
	for d.More() {
		var v any
		t, err := d.Token()
		if err == nil {
			err = d.Decode(&v)
		}
		name, isName := t.(string)
		if err != nil || !isName {
			return b, formatError("invalid JSON")
		}
		if problem := b.member(own, name, v, seen); problem != nil {
			return b, problem
		}
	}
	return b, nil
}

func (b *body) member(own map[string]string, name string, v any, seen map[string]bool) *admin.APIError {
	switch v.(type) {
	case map[string]any, []any:
		return formatError("nested object or list \"" + name + "\"")
	}
	if (name == "route" || name == "drain") && own[name] == "" {
		return formatError("unknown parameter \"" + name + "\"")
	}
	if seen[name] {
		return formatError("duplicate parameter \"" + name + "\"")
	}
	seen[name] = true
	return b.take(name, v)
}

func (b *body) take(name string, v any) *admin.APIError {
	bad := func(code string) *admin.APIError {
		return &admin.APIError{
			Status: http.StatusBadRequest,
			Code:   code,
			Text:   "invalid parameter value \"" + name + "\"",
		}
	}
	ok := true
	switch name {
	case "server":
		if ok = text(&b.server, v); !ok {
			return bad(servers.BadAddress)
		}
	case "service":
		if ok = text(&b.service, v); !ok {
			return bad("UpstreamBadService")
		}
	case "route":
		if ok = text(&b.route, v); !ok {
			return bad(servers.BadRoute)
		}
	case "weight":
		if ok = number(&b.weight, v); !ok {
			return bad(servers.BadWeight)
		}
	case "max_conns":
		if ok = number(&b.maxConns, v); !ok {
			return bad(servers.BadMaxConns)
		}
	case "max_fails":
		if ok = number(&b.maxFails, v); !ok {
			return bad(servers.BadMaxFails)
		}
	case "fail_timeout":
		if ok = period(&b.failTimeout, v); !ok {
			return bad(servers.BadFailTimeout)
		}
	case "slow_start":
		if ok = period(&b.slowStart, v); !ok {
			return bad(servers.BadSlowStart)
		}
	case "backup":
		ok = truth(&b.backup, v)
	case "down":
		ok = truth(&b.down, v)
	case "drain":
		ok = truth(&b.drain, v)
	default:
		return formatError("unknown parameter \"" + name + "\"")
	}
	if !ok {
		return bad("UpstreamConfFormatError")
	}
	return nil
}

func text(to **string, v any) bool {
	s, ok := v.(string)
	*to = &s
	return ok
}

func truth(to **bool, v any) bool {
	t, ok := v.(bool)
	*to = &t
	return ok
}

// number accepts 5 and "5".
func number(to **int, v any) bool {
	n, err := units.Number(asText(v))
	i := int(n)
	*to = &i
	return err == nil && n <= 1<<31-1
}

// period accepts a number of seconds or a time of nginx: 10, "10s", "1m".
func period(to **time.Duration, v any) bool {
	d, err := units.Time(asText(v))
	*to = &d
	return err == nil
}

func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// newServer are the settings of a server to add to a group.
func newServer[C side.Subject](
	b *body,
	g *groups.Group[C],
	defaultPort uint16,
) (s servers.Settings, problem *admin.APIError) {
	if s, problem = newSettings(b, defaultPort); problem != nil {
		return s, problem
	}
	return s, accepts(g, &s)
}

// accepts returns why a group cannot have a server.
func accepts[C side.Subject](g *groups.Group[C], s *servers.Settings) *admin.APIError {
	switch {
	case s.Host != "" && !g.Resolves:
		return &admin.APIError{Status: http.StatusBadRequest, Code: "UpstreamConfNoResolver",
			Text: "no resolver defined to resolve \"" + s.Name + "\""}
	case s.Backup && g.NoBackup:
		return &admin.APIError{
			Status: http.StatusBadRequest,
			Code:   servers.NoBackup,
			Text:   "load balancing method does not support backup servers",
		}
	}
	return nil
}

// newSettings are the settings of a server to add, whatever the group.
func newSettings(b *body, defaultPort uint16) (s servers.Settings, problem *admin.APIError) {
	if b.server == nil {
		return s, formatError("missing \"server\" argument")
	}
	badAddress := &admin.APIError{
		Status: http.StatusBadRequest,
		Code:   servers.BadAddress,
		Text:   "invalid server address \"" + *b.server + "\"",
	}
	if len(*b.server) > maxNameBytes {
		return s, badAddress
	}
	service := ""
	set(&service, b.service)
	t, err := groups.ParseTarget(*b.server, defaultPort, false)
	if err != nil || t.Port == 0 && !t.Unix && service == "" {
		return s, badAddress
	}
	address, literal := t.Literal()
	s = servers.NewSettings(*b.server, address)
	if s.Service = service; service != "" && (literal || !t.NoPort || len(service) > maxNameBytes) {
		return s, &admin.APIError{
			Status: http.StatusBadRequest,
			Code:   "UpstreamBadService",
			Text:   "\"service\" requires a domain name without a port",
		}
	}
	if !literal {
		if strings.ContainsAny(t.Host, " []") {
			return s, badAddress
		}
		s.Host, s.Port = t.Host, t.Port
	}
	set(&s.Route, b.route)
	set(&s.Weight, b.weight)
	set(&s.MaxConns, b.maxConns)
	set(&s.MaxFails, b.maxFails)
	set(&s.FailTimeout, b.failTimeout)
	set(&s.SlowStart, b.slowStart)
	set(&s.Backup, b.backup)
	set(&s.Down, b.down)
	set(&s.Drain, b.drain)
	return s, nil
}

// maxNameBytes bounds names of servers and services: a name of DNS has at most 255 bytes, a path of a socket 107.
const maxNameBytes = 512

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// change is the change that PATCH requests. The name of a server and the set it is in do not change; repeating them is
// no error.
func (b *body) change(now servers.Config) (c servers.Change, problem *admin.APIError) {
	immutable := func(name string) *admin.APIError {
		return &admin.APIError{Status: http.StatusBadRequest, Code: servers.ServerImmutable,
			Text: "\"" + name + "\" of a server cannot be changed: add a new server and remove this one"}
	}
	switch {
	case b.server != nil && *b.server != now.Server:
		return c, immutable("server")
	case b.service != nil && *b.service != now.Service:
		return c, immutable("service")
	case b.backup != nil && *b.backup != now.Backup:
		return c, immutable("backup")
	}
	return b.parameters(), nil
}
