package upstream

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"starling/admin"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/groups"
	"starling/zone/kinds"
)

// madeChange is a change of a server as the API shows it, also one of a server that this node does not have.
type madeChange struct {
	Server   string `json:"server"`
	Template string `json:"template,omitempty"`
	// Did and Change are what the last change did, and the parameters that it set.
	Did    string         `json:"did"`
	Change map[string]any `json:"change,omitempty"`
	At     string         `json:"at"`
	Node   string         `json:"node"`
	Host   string         `json:"host"`
	// Set has all that counts. Added means that the API added the server, Earlier are the changes before the last.
	Set     json.RawMessage       `json:"set,omitempty"`
	Added   bool                  `json:"added,omitempty"`
	Earlier []servers.ShownChange `json:"earlier,omitempty"`
	LeftMS  int64                 `json:"left_ms,omitempty"`
}

// changes are what the API has changed in one upstream on any node, if the cluster shares it. DELETE drops all of it:
// each node goes back to the servers of its configuration.
func (b *branch[S, C]) changes(g *groups.Group[C]) admin.Collection[madeChange] {
	m, shared := g.Cluster().(*member)
	if !shared {
		return notShared(g)
	}
	return admin.Collection[madeChange]{
		All:     func(*admin.Call) admin.Answer { return admin.Answer{Body: m.made()} },
		Missing: func(string) *admin.APIError { return admin.PathNotFound() },
		Clear: func(*admin.Call) admin.Answer {
			if err := m.revert(); err != nil {
				return refusal(err)
			}
			return admin.Answer{Status: http.StatusNoContent}
		},
	}
}

func notShared[C side.Subject](g *groups.Group[C]) admin.Collection[madeChange] {
	answer := func(*admin.Call) admin.Answer {
		return admin.Fail(http.StatusBadRequest, "UpstreamNotShared", "the cluster does not share upstream \""+g.Name+
			"\": add \"sync\" to its zone directive")
	}
	return admin.Collection[madeChange]{All: answer, Clear: answer, Missing: func(string) *admin.APIError {
		return admin.PathNotFound()
	}}
}

// pairs are those of this upstream, the oldest change first.
func (m *member) pairs() []kinds.Pair {
	var list []kinds.Pair
	for pair := range m.zone.memory.All(m.zone.clock.Now()) {
		if upstream, _, _ := cutPairKey(pair.Key); upstream == m.name {
			list = append(list, pair)
		}
	}
	slices.SortFunc(list, func(a, b kinds.Pair) int { return cmp.Compare(a.Stamp, b.Stamp) })
	return list
}

func (m *member) made() []madeChange {
	list := []madeChange{}
	for _, pair := range m.pairs() {
		e, rec, err := m.edit(pair)
		if err != nil {
			continue // the check lets no such pair into the zone
		}
		list = append(list, madeChange{Server: rec.Server, Template: rec.Template, Did: e.Did, Change: e.Last.Members(),
			At: e.At(), Node: rec.Node, Host: rec.Host, Set: rec.Set, Added: e.Added, Earlier: e.Before(),
			LeftMS: pair.LeftMS})
	}
	return list
}

// revert deletes all changes.
func (m *member) revert() error {
	for _, pair := range m.pairs() {
		// Another client, or node, may have deleted it meanwhile.
		if err := m.zone.memory.Delete(pair.Key, m.zone.clock.Now()); err != nil && err != kinds.ErrNotFound {
			return err
		}
		m.zone.follow(string(pair.Key), true)
		m.zone.passOn(string(pair.Key))
	}
	return m.group.SaveState()
}
