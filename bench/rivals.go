package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// webAsker asks over HTTP.
type webAsker struct {
	*line
	path string
}

func dialWeb(at, path string) (asker, error) {
	l, err := dialled(at)
	if err != nil {
		return nil, err
	}
	return webAsker{l, path}, nil
}

func (w webAsker) ask(key string) (bool, error) {
	status, _, err := w.roundTrip("GET", w.path+"?k="+key, "")
	if err != nil {
		return false, err
	}
	if status != http.StatusOK && status != http.StatusTooManyRequests {
		return false, fmt.Errorf("status %d", status)
	}
	return status == http.StatusOK, nil
}

func (w webAsker) Close() error { return w.conn.Close() }

// webFleet is a fleet whose nodes serve HTTP at these addresses: /hit is limited, /plain is not.
func webFleet(ats []string) *fleet {
	return &fleet{
		ats:   ats,
		dial:  func(node int) (asker, error) { return dialWeb(ats[node], "/hit") },
		plain: func(node int) (asker, error) { return dialWeb(ats[node], "/plain") },
	}
}

// folder is a new one of this run.
func (c *comparison) folder() (string, error) { return os.MkdirTemp(c.dir, "node-") }

// starlings starts a cluster whose limit has these parameters.
func (c *comparison) starlings(sync string) (*fleet, error) {
	web := fmt.Sprintf(`limit_req_zone $arg_k zone=req:10m rate=%dr/s %s;
	server {
		listen AT;
		limit_req_status 429;
		keepalive_requests 100000000;
		location = /hit { limit_req zone=req burst=%d nodelay; error_page 403 404 =200 @ok; }
		location = /plain { error_page 403 404 =200 @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}`, limitRate, sync, limitBurst)
	ats, cmds, err := c.starlingNodes(web)
	if err != nil {
		return nil, err
	}
	return gather(webFleet(ats), func(node int) error {
		return starlingReady(ats[node], strings.Contains(sync, "strict"))
	}, nil, cmds)
}

// starlingReady says whether a node has met the others, and decides on its strict limit if it has one.
func starlingReady(at string, strict bool) error {
	if n := online(at); n != nodes-1 {
		return fmt.Errorf("%d nodes online", n)
	}
	if !strict {
		return nil
	}
	text, err := call("GET", "http://"+at+"/api/9/starling/http/limit_reqs/req", "", http.StatusOK)
	if err == nil && !strings.Contains(text, `"state":"member"`) {
		err = errors.New(text)
	}
	return err
}

// starlingNodes prepares nodes whose http block has this text; AT is the node's address and DIR its folder.
func (c *comparison) starlingNodes(web string) (ats []string, cmds []*exec.Cmd, err error) {
	ports, err := freePorts(2 * nodes)
	if err != nil {
		return nil, nil, err
	}
	members := ""
	for _, at := range ports[nodes:] {
		members += "zone_sync_server " + at + "; "
	}
	for node := range nodes {
		dir, err := c.folder()
		if err != nil {
			return nil, nil, err
		}
		conf := fmt.Sprintf(`daemon off;
pid starling.pid;
error_log error.log notice;
events {}
http {
	access_log off;
	%s
}
stream { server { listen %s; zone_sync; zone_sync_strict_state strict.state; %s } }
`, strings.NewReplacer("AT", ports[node], "DIR", dir).Replace(web), ports[nodes+node], members)
		if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
			return nil, nil, err
		}
		cmds = append(cmds, exec.Command(c.binary, "-p", dir+"/", "-c", "nginx.conf", "-e", "error.log"))
	}
	return ports[:nodes], cmds, nil
}

// What HAProxy does with a request of the key k, tracked in the table limits. The first is the way of its manual, which
// counts rejected requests, too; the second counts what it admits.
var (
	haproxyAllRequests = fmt.Sprintf(`http-request deny deny_status 429 if { sc0_http_req_rate gt %d }`, limitRate)
	haproxyAdmitted    = fmt.Sprintf(`http-request deny deny_status 429 if { sc0_gpc0_rate ge %d }
  http-request sc-inc-gpc0(0)`, limitRate)
)

// haproxies starts a cluster that limits by this rule.
func (c *comparison) haproxies(limit string) (*fleet, error) {
	return c.haproxyFleet(fmt.Sprintf(`frontend web
  bind AT
  http-request return status 200 content-type text/plain string ok if { path /plain }
  http-request track-sc0 url_param(k) table limits
  %s
  http-request return status 200 content-type text/plain string ok
`, limit))
}

// haproxyFleet starts a cluster with these sections; AT is a node's address. The table limits is shared.
func (c *comparison) haproxyFleet(sections string) (*fleet, error) {
	ports, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	peers := ""
	for node, at := range ports[nodes:] {
		peers += fmt.Sprintf("  peer n%d %s\n", node, at)
	}
	var cmds []*exec.Cmd
	var sockets []string
	for node := range nodes {
		dir, err := c.folder()
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, filepath.Join(dir, "admin.sock"))
		conf := fmt.Sprintf(`global
  localpeer n%d
  stats socket %s level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
peers cluster
%s
backend limits
  stick-table type string len 64 size 100k expire 60s store gpc0,gpc0_rate(1s),http_req_rate(1s) peers cluster
%s`, node, sockets[node], peers, strings.ReplaceAll(sections, "AT", ports[node]))
		if err := os.WriteFile(filepath.Join(dir, "haproxy.cfg"), []byte(conf), 0o644); err != nil {
			return nil, err
		}
		cmds = append(cmds, exec.Command(c.haproxyPath, "-db", "-f", filepath.Join(dir, "haproxy.cfg")))
	}
	fl := webFleet(ports[:nodes])
	fl.admin = func(node int, command string) (string, error) { return haproxyTell(sockets[node], command) }
	return gather(fl, func(node int) error { return haproxyReady(fl, node) }, nil, cmds)
}

// haproxyReady says whether an entry of one node comes to the others.
func haproxyReady(fl *fleet, node int) error {
	key := fmt.Sprint("begin", node)
	if _, err := fl.admin(node, "set table limits key "+key+" data.gpc0 1"); err != nil {
		return err
	}
	for other := range fl.nodes {
		if text, err := fl.admin(other, "show table limits key "+key); err != nil {
			return err
		} else if !strings.Contains(text, "key="+key) {
			return fmt.Errorf("node %d lacks an entry of node %d", other, node)
		}
	}
	return nil
}

// haproxyTell gives HAProxy a command over its socket.
func haproxyTell(socket, command string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn) // it closes after the answer
	return string(text), err
}
