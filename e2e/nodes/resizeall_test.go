package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// changingAll has the zones that changing lacks: pairs with types and timeouts, sessions, connections, changes of servers,
// purges.
const changingAll = `http {
	keyval_zone zone=ips:{SIZE} type=ip timeout=1h{SYNC}; keyval $arg_ip $ip zone=ips;
	keyval_zone zone=prefixes:{SIZE} type=prefix{SYNC}; keyval $arg_prefix $prefix zone=prefixes;
	limit_conn_zone $server_name zone=requests:{SIZE}{SYNC};
	proxy_cache_path {{.Dir}}/cache levels=1:2 keys_zone=pages:{SIZE} inactive=1h{SYNC};
	upstream my_backend { zone my_backend {ZONE}; server {{.Net}}.101:9100; server {{.Net}}.102:9100;
		sticky learn zone=sessions:{SIZE} create=$upstream_cookie_session lookup=$cookie_session{SYNC}; }
	upstream changed0 { zone changed0 {ZONE} sync; server {{.Net}}.101:9100; }
	upstream changed1 { zone changed1 {ZONE} sync; server {{.Net}}.101:9100; }
	client_body_timeout 10m;
	server { listen {{.IP}}:8080; server_name all; keepalive_requests 1000000;
		location / { return 200 "$ip $prefix"; }
		location = /hang { limit_conn requests 1000; proxy_pass http://{{.IP}}:8080/api; }
		location /session { limit_conn requests 1000; proxy_pass http://my_backend; }
		location /changed0 { proxy_pass http://changed0; }
		location /changed1 { proxy_pass http://changed1; }
		location /page { limit_conn requests 1000; proxy_pass ORIGIN; proxy_cache pages; proxy_cache_valid 1h; proxy_cache_key $uri;
			proxy_cache_purge $http_x_purge; }
		location /api { api write=on; }
	}
}
` + harness.Members

// client is what one client of a node was told, on one connection after another.
type client struct {
	*http.Client
	node *harness.Node
	name string
}

func (c *client) url(path string) string { return "http://" + c.node.IP + ":8080" + path }

// everything is what clients have been told of all zones, and the clients.
type everything struct {
	t    *testing.T
	stop func()
	work sync.WaitGroup
	ed   *edition

	mu       sync.Mutex
	sessions map[string]string          // the server of each
	servers  map[string]int             // the weight of each, 0: it was removed
	pages    map[string]int64           // the oldest edition of each
	pairs    map[string]map[string]bool // by zone: whether it is there
}

// change tells what a client was told.
func (e *everything) change(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fn()
}

func workWithEverything(t *testing.T, cl *harness.Cluster, ed *edition) *everything {
	ctx, stop := context.WithCancel(context.Background())
	e := &everything{t: t, stop: stop, ed: ed, sessions: map[string]string{}, servers: map[string]int{},
		pages: map[string]int64{}, pairs: map[string]map[string]bool{"ips": {}, "prefixes": {}}}
	for i, n := range cl.Nodes {
		for _, does := range []func(*client, int) error{e.opensSession, e.changesServer, e.purgesPage, e.writesIP, e.writesPrefix} {
			c := &client{&http.Client{Timeout: harness.Patience, Transport: &http.Transport{DialContext: n.DialURL}}, n, strconv.Itoa(i)}
			e.work.Go(func() {
				defer c.CloseIdleConnections()
				for round := 0; ctx.Err() == nil; round++ {
					if err := does(c, round); err != nil {
						t.Errorf("%s: %v", n.Name, err)
						return
					}
				}
			})
		}
	}
	return e
}

// done ends the clients.
func (e *everything) done() {
	e.t.Helper()
	e.stop()
	e.work.Wait()
	e.t.Logf("%d sessions, %d servers, %d pages, %d and %d pairs", len(e.sessions), len(e.servers), len(e.pages),
		len(e.pairs["ips"]), len(e.pairs["prefixes"]))
	if len(e.sessions) == 0 || len(e.servers) == 0 || len(e.pages) == 0 || len(e.pairs["ips"]) == 0 {
		e.t.Fatal("some clients did nothing")
	}
}

func (e *everything) opensSession(c *client, round int) error {
	id := fmt.Sprintf("s%s-%d", c.name, round)
	status, server, err := send(c.Client, "GET", c.url("/session?session="+id), "")
	switch {
	case err != nil: // a retired connection was closed: nobody knows
		return nil
	case status != 200:
		return fmt.Errorf("session %s: %d %s", id, status, server)
	}
	e.change(func() { e.sessions[id] = string(server) })
	return nil
}

func (e *everything) writesIP(c *client, round int) error {
	return e.writes(c, round, "ips", fmt.Sprintf("10.%s.%d.%d", c.name, round/250%250, round%250))
}

func (e *everything) writesPrefix(c *client, round int) error {
	return e.writes(c, round, "prefixes", fmt.Sprintf("p%s-%d/", c.name, round))
}

// writes a pair, and deletes every third one again.
func (e *everything) writes(c *client, round int, zone, key string) error {
	path := c.url("/api/9/http/keyvals/" + zone)
	status, text, err := send(c.Client, "POST", path, `{"`+key+`":"value"}`)
	switch {
	case err != nil:
		return nil
	case status != 201:
		return fmt.Errorf("POST %s: %d %s", key, status, text)
	case round%3 != 0:
		e.change(func() { e.pairs[zone][key] = true })
		return nil
	}
	status, text, err = send(c.Client, "PATCH", path, `{"`+key+`":null}`)
	switch {
	case err != nil:
	case status != 204:
		return fmt.Errorf("deleting %s: %d %s", key, status, text)
	default:
		e.change(func() { e.pairs[zone][key] = false })
	}
	return nil
}

// purgesPage reads a page, and purges it when there is a newer one.
func (e *everything) purgesPage(c *client, round int) error {
	path := fmt.Sprintf("/page/%s-%d", c.name, round)
	if _, _, err := send(c.Client, "GET", c.url(path), ""); err != nil {
		return nil
	}
	newest := e.ed.number.Add(1)
	r, err := http.NewRequest("PURGE", c.url(path), nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Purge", "1")
	answer, err := c.Do(r)
	if err != nil {
		return nil
	}
	answer.Body.Close()
	if answer.StatusCode == 204 {
		e.change(func() { e.pages[path] = newest })
	}
	return nil
}

// changesServer adds the server of a client, changes it and every other time removes it. There is only one in an upstream,
// so that an id of an earlier configuration is that of no other server.
func (e *everything) changesServer(c *client, round int) error {
	server := fmt.Sprintf("%s.110:920%s", c.node.Net(), c.name)
	path := c.url("/api/9/http/upstreams/changed" + c.name + "/servers")
	e.change(func() { delete(e.servers, server) })
	status, text, err := send(c.Client, "POST", path, fmt.Sprintf(`{"server":%q,"weight":2}`, server))
	switch {
	case err != nil: // nobody knows what a request has done whose connection was closed
		return nil
	case status != 201 && status != 409:
		return fmt.Errorf("adding %s: %d %s", server, status, text)
	}
	id, err := e.idOf(c, path, server)
	if id < 0 || err != nil {
		return err
	}
	weight, method, body := 3+round, "PATCH", fmt.Sprintf(`{"weight":%d}`, 3+round)
	if round%2 == 0 {
		weight, method, body = 0, "DELETE", ""
	}
	status, text, err = send(c.Client, method, path+"/"+strconv.Itoa(id), body)
	switch {
	case err != nil || status == 404: // a reload has given it another id
	case status != 200:
		return fmt.Errorf("%s %s: %d %s", method, server, status, text)
	default:
		e.change(func() { e.servers[server] = weight })
	}
	return nil
}

// idOf is that of a server in the answer of the API, -1 if there was none.
func (e *everything) idOf(c *client, path, server string) (id int, err error) {
	status, text, err := send(c.Client, "GET", path, "")
	if err != nil {
		return -1, nil
	}
	var list []struct {
		ID     int
		Server string
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return -1, err
	}
	for _, s := range list {
		if s.Server == server {
			return s.ID, nil
		}
	}
	return -1, fmt.Errorf("%s is not among the servers: %d %s", server, status, text)
}

// isKept returns what a node has lost of what clients were told.
func (e *everything) isKept(n *harness.Node) error {
	for zone, pairs := range e.pairs {
		present, gone := maps.Clone(pairs), map[string]bool{}
		maps.DeleteFunc(present, func(_ string, is bool) bool { return !is })
		for key, is := range pairs {
			if !is {
				gone[key] = true
			}
		}
		if err := holdsIn(n, zone, present, gone); err != nil {
			return err
		}
	}
	for server, weight := range e.servers {
		if err := e.hasServer(n, "changed"+server[len(server)-1:], server, weight); err != nil {
			return err
		}
	}
	return nil
}

// hasServer returns an error unless a node has a server with a weight; 0 means that it was removed.
func (e *everything) hasServer(n *harness.Node, upstream, server string, weight int) error {
	r, err := n.Do("GET", "/api/9/http/upstreams/"+upstream+"/servers", "")
	if err != nil {
		return err
	}
	var shown []struct {
		Server string
		Weight int
	}
	if err := json.Unmarshal([]byte(r.Body), &shown); err != nil {
		return err
	}
	has := 0
	for _, s := range shown {
		if s.Server == server {
			has = s.Weight
		}
	}
	if has == weight {
		return nil
	}
	made, err := n.Do("GET", "/api/9/http/upstreams/"+upstream+"/changes", "")
	return fmt.Errorf("%s has %s with weight %d, want %d (0: removed); it was told %s, %v", n.Name, server, has, weight,
		made.Body, err)
}

// leads returns which sessions a node sends to another server, and which purged pages it still has.
func (e *everything) leads(n *harness.Node) (wrong int, err error) {
	for id, server := range e.sessions {
		r, err := n.Do("GET", "/session", "", "Cookie", "session="+id)
		if err != nil {
			return wrong, err
		}
		if r.Body != server {
			wrong++
			e.t.Errorf("%s sends session %s to %q, not to %q", n.Name, id, r.Body, server)
		}
		if wrong > 5 {
			return wrong, nil
		}
	}
	for path, oldest := range e.pages {
		r, err := n.Do("GET", path, "")
		if err != nil {
			return wrong, err
		}
		if number, err := strconv.ParseInt(r.Body, 10, 64); err != nil || number < oldest {
			wrong++
			e.t.Errorf("%s has %s of edition %q, which was purged for %d", n.Name, path, r.Body, oldest)
		}
		if wrong > 5 {
			return wrong, nil
		}
	}
	return wrong, nil
}

// TestReloadsKeepEverything: clients open sessions, write pairs of other types, change servers and purge pages while
// reloads change the size and the `sync` of the zones on both nodes. In the end both have what clients were told.
func TestReloadsKeepEverything(t *testing.T) {
	cl, ed := harness.NewCluster(t, 2), newEdition(t)
	for i := range 2 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	text := func(size, zone, sync string) string {
		return strings.NewReplacer("{SIZE}", size, "{ZONE}", zone, "{SYNC}", sync, "ORIGIN", ed.URL).Replace(changingAll)
	}
	sizes, zones := []string{"64m", "32m", "48m"}, []string{"64k", "128k"}
	last := text("64m", "64k", " sync")
	cl.Start(last)
	cl.Joined(2)
	e := workWithEverything(t, cl, ed)
	var held []net.Conn
	for _, n := range cl.Nodes {
		held = append(held, n.HoldRequest(), n.HoldRequest())
	}
	for i := range reloads(t) / 2 {
		for k, n := range cl.Nodes {
			sync := " sync"
			if (i+k)%3 == 1 {
				sync = ""
			}
			reloadTo(t, n, text(sizes[(i+k)%len(sizes)], zones[(i+k)%len(zones)], sync))
		}
	}
	for _, n := range cl.Nodes {
		reloadTo(t, n, last)
	}
	e.done()
	cl.Joined(2)
	for _, n := range cl.Nodes {
		testkit.Eventually(t, harness.Patience, func() error { return e.isKept(n) })
	}
	cl.Acknowledged()
	for _, n := range cl.Nodes {
		if _, err := e.leads(n); err != nil {
			t.Error(err)
		}
	}
	countsHeld(cl, held)
}

// countsHeld: requests in progress are counted, those that have ended are not, whichever configurations they have seen.
// Half of them are of each of two nodes.
func countsHeld(cl *harness.Cluster, held []net.Conn) {
	for left := len(held); ; left-- {
		ofSecond := min(left, len(held)/2)
		cl.Nodes[0].CountsConnections("http", "requests", left, left-ofSecond)
		cl.Nodes[1].CountsConnections("http", "requests", left, ofSecond)
		if left == 0 {
			return
		}
		held[len(held)-left].Close()
	}
}

// TestEverythingOfAClusterThatIsLeft: a reload removes the last node of the list, or the whole zone_sync. Sessions,
// pairs, changes of servers and purges stay, and both sides get what the other has changed when they meet again.
func TestEverythingOfAClusterThatIsLeft(t *testing.T) {
	for name, alone := range map[string]string{
		"no server in the list": "stream { server { listen {{.IP}}:9000; zone_sync; } }",
		"no zone_sync":          "",
	} {
		t.Run(name, func(t *testing.T) {
			cl, ed := harness.NewCluster(t, 2), newEdition(t)
			for i := range 2 {
				cl.Backend(101+i, fmt.Sprintf("backend%d", i))
			}
			text := strings.NewReplacer("{SIZE}", "1m", "{ZONE}", "64k", "{SYNC}", " sync", "ORIGIN", ed.URL).Replace(changingAll)
			cl.Start(text)
			a, b := cl.Nodes[0], cl.Nodes[1]
			e := &everything{t: t, ed: ed, sessions: map[string]string{}, servers: map[string]int{}, pages: map[string]int64{},
				pairs: map[string]map[string]bool{"ips": {}, "prefixes": {}}}
			e.doesOnce(a, "first", false)
			cl.Acknowledged()
			for _, n := range cl.Nodes {
				reloadTo(t, n, strings.Replace(text, harness.Members, "", 1)+alone)
			}
			kept := func() {
				for _, n := range cl.Nodes {
					testkit.Eventually(t, harness.Patience, func() error { return e.isKept(n) })
					if _, err := e.leads(n); err != nil {
						t.Error(err)
					}
				}
			}
			kept()
			for _, n := range cl.Nodes { // pages that both have stored
				for _, path := range []string{"/page/of-a", "/page/of-b"} {
					n.Must("GET", path, "")
				}
			}
			e.doesOnce(a, "of-a", true)
			e.doesOnce(b, "of-b", true)
			for _, n := range cl.Nodes {
				reloadTo(t, n, text)
			}
			cl.Joined(2)
			cl.Acknowledged()
			kept()
		})
	}
}

// doesOnce changes all zones at a node, and deletes pairs that came first.
func (e *everything) doesOnce(n *harness.Node, name string, deletes bool) {
	n.Must("GET", "/page/"+name, "")
	e.pages["/page/"+name] = e.ed.number.Add(1)
	purge(n, "/page/"+name)
	e.sessions[name] = n.Must("GET", "/session?session="+name, "").Body
	last := map[string]string{"first": "1", "of-a": "2", "of-b": "3"}[name]
	for zone, keys := range map[string][]string{
		"ips":      {"10.0.0." + last, "10.0.1.2", "10.0.1.3"},
		"prefixes": {name + "/", "both/2", "both/3"},
	} {
		path := "/api/9/http/keyvals/" + zone
		n.Wants(201, "*", "POST", path, `{"`+keys[0]+`":"1"}`)
		e.pairs[zone][keys[0]] = true
		for i, key := range keys[1:] { // each side deletes one that both had
			switch {
			case !deletes:
				n.Wants(201, "*", "POST", path, `{"`+key+`":"1"}`)
				e.pairs[zone][key] = true
			case last == strconv.Itoa(2+i):
				n.Wants(204, "*", "PATCH", path, `{"`+key+`":null}`)
				e.pairs[zone][key] = false
			}
		}
	}
	server := n.Net() + ".12" + last + ":9200"
	n.Wants(201, "*", "POST", "/api/9/http/upstreams/changed0/servers", `{"server":"`+server+`","weight":7}`)
	e.servers[server] = 7
}
