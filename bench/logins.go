package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"
)

// sessionServers is how many servers stand behind each cluster: a request without its session hits the right one by
// chance once in so many times.
const sessionServers = 16

// sessionServer begins the session that a request asks for, and says its name.
func sessionServer(name string) (at string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := r.FormValue("session"); s != "" {
			w.Header().Set("Set-Cookie", "session="+s)
		}
		fmt.Fprint(w, name)
	})}
	go server.Serve(l) // ends when it is closed
	return l.Addr().String(), func() { _ = server.Close() }, nil
}

// keeper is a cluster that keeps sessions.
type keeper struct {
	name  string
	fleet *fleet
	ats   []string
	lines []*line
	// wrong counts the next requests that came to another server; ms are the times of the first ones.
	wrong int
	ms    []float64
}

// sessions begins sessions at one node, and sends the next request of each at once to another one. The clusters take
// turns.
func (c *comparison) sessions(logins int) error {
	if err := c.build(); err != nil {
		return err
	}
	var servers []string
	for i := range sessionServers {
		at, stop, err := sessionServer(fmt.Sprint("server", i))
		if err != nil {
			return err
		}
		defer stop()
		servers = append(servers, at)
	}
	keepers, err := c.keepers(servers)
	defer func() {
		for _, k := range keepers {
			k.fleet.stop()
		}
	}()
	if err != nil {
		return err
	}
	for i := range logins {
		for _, k := range keepers {
			if err := k.login(i); err != nil {
				return fmt.Errorf("%s, session %d: %w", k.name, i, err)
			}
		}
	}
	for _, k := range keepers {
		sort.Float64s(k.ms)
		what := "sessions, " + k.name + ", "
		c.report.add(what+"begun", float64(logins))
		c.report.add(what+"next request at a wrong server", float64(k.wrong))
		c.report.add(what+"first response, ms p50", percentile(k.ms, 0.5))
		c.report.add(what+"first response, ms p99", percentile(k.ms, 0.99))
	}
	return nil
}

// keepers starts the clusters that keep sessions.
func (c *comparison) keepers(servers []string) (list []*keeper, err error) {
	for _, sync := range []string{"sync", "sync=0"} {
		web := fmt.Sprintf(`upstream app {
		zone app 64k;
		server %s;
		keepalive 16;
		sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:10m timeout=10m %s;
	}
	server {
		listen AT;
		keepalive_requests 100000000;
		location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://app; }
		location /api { api; }
	}`, strings.Join(servers, ";\n\t\tserver "), sync)
		ats, cmds, err := c.starlingNodes(web)
		if err != nil {
			return list, err
		}
		fl, err := gather(&fleet{}, func(node int) error { return starlingReady(ats[node], false) }, nil, cmds)
		if err != nil {
			return list, err
		}
		list = append(list, &keeper{name: "starling " + sync, fleet: fl, ats: ats})
	}
	if !c.has(c.haproxyPath) {
		return list, nil
	}
	app := "backend app\n  balance roundrobin\n  stick-table type string len 64 size 100k expire 10m peers cluster\n" +
		"  stick store-response res.cook(session)\n  stick on req.cook(session)\n"
	for i, at := range servers {
		app += fmt.Sprintf("  server s%d %s\n", i, at)
	}
	fl, err := c.haproxyFleet("frontend web\n  bind AT\n  default_backend app\n" + app)
	if err != nil {
		return list, err
	}
	return append(list, &keeper{name: "haproxy", fleet: fl, ats: fl.ats}), nil
}

// login begins a session at one node and goes on at the next one.
func (k *keeper) login(i int) error {
	if k.lines == nil {
		for _, at := range k.ats {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				return err
			}
			k.lines = append(k.lines, &line{conn, bufio.NewReader(conn)})
		}
	}
	begin := time.Now()
	_, first, err := k.lines[i%nodes].roundTrip("GET", fmt.Sprint("/?session=s", i), "")
	if err != nil {
		return err
	}
	k.ms = append(k.ms, float64(time.Since(begin).Microseconds())/1000)
	_, next, err := k.lines[(i+1)%nodes].roundTrip("GET", "/", "", fmt.Sprint("Cookie: session=s", i))
	if next != first {
		k.wrong++
	}
	return err
}
