package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"starling/lib/testkit"
)

// Server is the part of a server in the API that tests read.
type Server struct {
	ID      int        `json:"id"`
	Server  string     `json:"server"`
	Weight  int        `json:"weight"`
	Down    bool       `json:"down"`
	Drain   bool       `json:"drain"`
	Changed *ChangedBy `json:"changed"` // by the API, of a shared upstream
}

// ChangedBy says when a server was changed last, and on which node.
type ChangedBy struct {
	At   string `json:"at"`
	Node string `json:"node"`
}

// Servers are what the API of a node shows of an upstream: "http/backend".
func (n *Node) Servers(path string) (list []Server, err error) {
	side, name, _ := strings.Cut(path, "/")
	r, err := n.Do("GET", "/api/9/"+side+"/upstreams/"+name+"/servers", "")
	if err == nil && r.Status != 200 {
		err = fmt.Errorf("%s: %d %s", n.Name, r.Status, r.Body)
	}
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal([]byte(r.Body), &list)
}

// ServersText is what counts of servers on all nodes, not their IDs, nor their order: "101 weight=3 drain, 102".
func ServersText(list []Server) string {
	var lines []string
	for _, s := range list {
		host, _, _ := strings.Cut(s.Server, ":")
		text := host[strings.LastIndexByte(host, '.')+1:]
		if s.Weight != 1 {
			text += fmt.Sprintf(" weight=%d", s.Weight)
		}
		if s.Down {
			text += " down"
		}
		if s.Drain {
			text += " drain"
		}
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// ShowServers waits until the running nodes show servers, as in ServersText, and agree on who changed them when.
func ShowServers(t *testing.T, nodes []*Node, path, want string) {
	t.Helper()
	testkit.Eventually(t, Patience, func() error {
		changed := map[string]ChangedBy{}
		for _, n := range nodes {
			if !n.Running() {
				continue
			}
			list, err := n.Servers(path)
			if err != nil {
				return err
			}
			if got := ServersText(list); got != want {
				return fmt.Errorf("%s shows the servers %q of %s, want %q", n.Name, got, path, want)
			}
			for _, s := range list {
				var by ChangedBy
				if s.Changed != nil {
					by = *s.Changed
				}
				before, known := changed[s.Server]
				if known && before != by || s.Changed != nil && by.Node == "" {
					return fmt.Errorf("%s: server %s was changed by %+v, others say %+v", n.Name, s.Server, by, before)
				}
				changed[s.Server] = by
			}
		}
		return nil
	})
}

// EditServer changes a server by its address: `PATCH 101 {"down":true}`, `DELETE 101`, `POST 103`.
func (n *Node) EditServer(path, method, host, body string) {
	n.T.Helper()
	side, name, _ := strings.Cut(path, "/")
	to, address, status := "/api/9/"+side+"/upstreams/"+name+"/servers", n.Net()+"."+host+":9100", http.StatusOK
	if method == http.MethodPost {
		body, status = `{"server":"`+address+`"`+body+`}`, http.StatusCreated
	} else {
		list, err := n.Servers(path)
		i := slices.IndexFunc(list, func(s Server) bool { return s.Server == address })
		if err != nil || i < 0 {
			n.T.Fatalf("%s has no server %s: %+v %v", n.Name, address, list, err)
		}
		to += fmt.Sprint("/", list[i].ID)
	}
	n.Wants(status, "*", method, to, body)
}
