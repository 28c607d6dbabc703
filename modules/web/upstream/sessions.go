package upstream

import (
	"encoding/hex"
	"net/http"

	"starling/admin"
	"starling/plan"
	"starling/upstream/groups"
	stick "starling/upstream/sticky"
	"starling/web"
)

// session is a learned session as a page shows it. Its key is the md5 of what the client calls it: the text itself is
// not kept.
type session struct {
	Key    string `json:"key"`
	Server string `json:"server"` // its address, or its id if no server of the group has that
	LeftMS int64  `json:"left_ms"`
}

// sessions is /starling/http/sessions: the zones of "sticky learn", and a page of each.
func sessions(p *plan.Plan) admin.Resource {
	find := func(name string) (*learn, bool) {
		for _, z := range p.Zones.All() {
			if l, ok := z.Value.(*learn); ok && z.Name == name {
				return l, true
			}
		}
		return nil, false
	}
	return admin.Collection[*learn]{
		Path: "starling/http/sessions", Since: 9, Find: find,
		Missing: admin.NotFound("SessionZoneNotFound", "zone of sessions"),
		All: func(*admin.Call) admin.Answer {
			names := []string{}
			for _, z := range p.Zones.All() {
				if _, ok := z.Value.(*learn); ok {
					names = append(names, z.Name)
				}
			}
			return admin.Answer{Status: http.StatusOK, Body: names}
		},
		Get: func(l *learn, call *admin.Call) admin.Answer { return l.browse(p, call) },
	}.Resource()
}

// browse answers with a page of the sessions. A search finds a session by the whole text that the client sends, by a
// part of its key, or by a part of its server.
func (l *learn) browse(p *plan.Plan, call *admin.Call) admin.Answer {
	page, problem := admin.ReadPage(call)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	names, sought := l.serverNames(p), stick.Key(page.Search)
	b := admin.NewBrowser[session](page)
	for pair := range l.Visit(p.Clock.Now()) {
		name := names[string(pair.Value)]
		if name == "" {
			name = string(pair.Value)
		}
		matched := []byte(name)
		if string(pair.Key) == string(sought[:]) {
			matched = page.Search
		}
		key := hex.EncodeToString(pair.Key)
		b.Offer([]byte(key), matched, func() session { return session{key, name, pair.LeftMS} })
	}
	return admin.Answer{Body: b.Records()}
}

// serverNames are the addresses of the servers of the group by their ids.
func (l *learn) serverNames(p *plan.Plan) map[string]string {
	names := map[string]string{}
	for _, g := range groups.Of[*web.Request](p).All() {
		if g.Name != l.upstream {
			continue
		}
		for id, address := range g.SessionIDs() {
			names[id] = address
		}
	}
	return names
}
