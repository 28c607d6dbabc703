package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Addresses of the compared servers; all on loopback.
const (
	backendAt  = "127.0.0.1:19101"
	nginxAt    = "127.0.0.1:19201"
	haproxyAt  = "127.0.0.1:19202"
	starlingAt = "127.0.0.1:19203"
	beforeAt   = "127.0.0.1:19206"
)

// roundTime is how long one server is under load in one round; connections are as many as in http-engine's figures.
const (
	roundTime   = 2 * time.Second
	connections = 64
)

// The names of the two builds of starling among the contenders.
const (
	thisBuild  = "starling"
	otherBuild = "starling before"
)

// contender is one server of a comparison.
type contender struct {
	name    string
	at      string
	process *process
	// micros are the CPU microseconds per request of each round.
	micros []float64
}

// duel is the work for all servers of a comparison.
type duel struct {
	// httpLine, serverLine, locationLine and listen are inserted into the configurations of nginx and starling, at the
	// places of these names.
	httpLine, serverLine, locationLine, listen string
	// bodyBytes is the size of an answer.
	bodyBytes int
	// load is the traffic without the address; drive replaces it if the protocol is not HTTP/1.1.
	load  load
	drive func(address string, d time.Duration) (int64, error)
	// haproxy is false if HAProxy would need a configuration of its own.
	haproxy bool
}

// plain is a proxied answer of 1 KB.
func plain() duel {
	return duel{bodyBytes: 1 << 10, load: load{request: same("/")}, haproxy: true}
}

// send puts a server under load.
func (d duel) send(address string) (int64, error) {
	if d.drive != nil {
		return d.drive(address, roundTime)
	}
	l := d.load
	l.address, l.status, l.connections = address, 200, connections
	return l.run(roundTime)
}

// proxy compares the CPU time of one proxied request of 1 KB.
func (b *bench) proxy() error {
	return b.fight("proxied request 1 KB, CPU us", plain())
}

// fight starts the servers of a comparison and compares them.
func (b *bench) fight(what string, d duel) error {
	list, done, err := b.contenders(d)
	if err != nil {
		return err
	}
	defer done()
	return b.compare(what, d, list)
}

// limits compares starling with a synced limit and sticky sessions against nginx with a limit alone.
func (b *bench) limits() error {
	d := duel{
		bodyBytes:    1 << 10,
		load:         load{request: keyed},
		httpLine:     "limit_req_zone $arg_k zone=req:10m rate=100000r/s;",
		locationLine: "limit_req zone=req burst=100000 nodelay;",
	}
	list, done, err := b.contenders(d)
	if err != nil {
		return err
	}
	defer done()
	for _, c := range list {
		pair, clustered := limitPairs[c.name]
		if !clustered {
			continue
		}
		binary := b.binary
		if c.name == otherBuild {
			binary = b.before
		}
		conf := clusterConf(pair.peerAt, pair.syncs[1], pair.syncs)
		peer, err := b.starlingOf(binary, c.name+" peer", conf, otherCore, pair.peerAt)
		if err != nil {
			return err
		}
		defer peer.stop()
		c.process.stop()
		conf = clusterConf(c.at, pair.syncs[0], pair.syncs)
		limited, err := b.starlingOf(binary, c.name+" limited", conf, measuredCore, c.at)
		if err != nil {
			return err
		}
		c.process = limited
	}
	return b.compare("limit (starling: + sticky + sync to a peer) request 1 KB, CPU us", d, list)
}

// limitPairs are the addresses of the clusters under measurement: this checkout's and, with -before, the other build's.
// Each build has a peer of its own, so that both do the same work.
var limitPairs = map[string]struct {
	peerAt string
	syncs  [2]string
}{
	thisBuild:  {peerAt: "127.0.0.1:19204", syncs: [2]string{"127.0.0.1:19303", "127.0.0.1:19304"}},
	otherBuild: {peerAt: "127.0.0.1:19207", syncs: [2]string{"127.0.0.1:19305", "127.0.0.1:19306"}},
}

// keyed spreads requests over 64k keys and sends a session cookie.
func keyed(c, i int) []byte {
	return fmt.Appendf(nil, "GET /?k=%d HTTP/1.1\r\nHost: bench\r\nCookie: session=s\r\n\r\n", (c*1021+i)%65536)
}

// compare puts every contender under load in turn and reports medians and their ratios to nginx.
func (b *bench) compare(what string, d duel, list []*contender) error {
	for round := range b.rounds + 1 {
		for k := range list {
			c := list[k]
			if round%2 == 1 { // the order is reversed each other round
				c = list[len(list)-1-k]
			}
			if err := c.turn(d, round > 0); err != nil { // the first round warms up
				return err
			}
		}
	}
	var nginx []float64
	for _, c := range list {
		if c.name == "nginx" {
			nginx = append(nginx, c.micros...)
		}
	}
	for _, c := range list {
		ratios := make([]float64, len(c.micros))
		for i := range nginx {
			ratios[i] = c.micros[i] / nginx[i]
		}
		b.report.add(what+", "+c.name, median(c.micros))
		if nginx != nil && c.name != "nginx" {
			b.report.add(what+", "+c.name+" / nginx", median(ratios))
		}
	}
	return nil
}

// turn puts a server under load for one round, which counts or not.
func (c *contender) turn(d duel, counts bool) error {
	before, err := c.process.cpu()
	if err != nil {
		return err
	}
	n, err := d.send(c.at)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	after, err := c.process.cpu()
	if err != nil {
		return err
	}
	if counts {
		c.micros = append(c.micros, float64((after-before).Microseconds())/float64(n))
	}
	return nil
}

// contenders starts a backend and the available ones of nginx, HAProxy and starling.
func (b *bench) contenders(d duel) ([]*contender, func(), error) {
	if err := keepOff(); err != nil {
		return nil, nil, err
	}
	back, err := backend(backendAt, d.bodyBytes)
	if err != nil {
		return nil, nil, err
	}
	var list []*contender
	done := func() {
		for _, c := range list {
			c.process.stop()
		}
		_ = back.Close() // nothing is served any more
	}
	add := func(name, at string, start func() (*process, error)) {
		if err != nil {
			return
		}
		var p *process
		if p, err = start(); err == nil {
			list = append(list, &contender{name: name, at: at, process: p})
		}
	}
	if path, missing := exec.LookPath("nginx"); missing == nil {
		add("nginx", nginxAt, func() (*process, error) { return b.nginx(path, d) })
	} else {
		fmt.Println("  nginx is not installed: no ratios")
	}
	if path, missing := exec.LookPath("haproxy"); missing == nil && d.haproxy {
		add("haproxy", haproxyAt, func() (*process, error) { return b.haproxy(path) })
	}
	add(thisBuild, starlingAt, func() (*process, error) {
		return b.starling("plain", d.conf(starlingAt), measuredCore, starlingAt)
	})
	if b.before != "" {
		add(otherBuild, beforeAt, func() (*process, error) {
			return b.starlingOf(b.before, "before", d.conf(beforeAt), measuredCore, beforeAt)
		})
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return list, done, nil
}

// conf is the shared configuration of nginx and starling.
func (d duel) conf(listen string) string {
	return fmt.Sprintf(`http {
	access_log off;
	%s
	upstream b { server %s; keepalive 128; }
	server {
		listen %s %s;
		%s
		keepalive_requests 100000000;
		location / {
			%s
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_pass http://b;
		}
	}
}
`, d.httpLine, backendAt, listen, d.listen, d.serverLine, d.locationLine)
}

// clusterConf is a duel's configuration with a synced limit, sticky sessions and two members.
func clusterConf(listen, syncListen string, syncs [2]string) string {
	members := fmt.Sprintf("zone_sync_server %s; zone_sync_server %s;", syncs[0], syncs[1])
	return fmt.Sprintf(`http {
	access_log off;
	limit_req_zone $arg_k zone=req:10m rate=100000r/s sync;
	keyval_zone zone=one:10m sync;
	keyval $arg_text $text zone=one;
	upstream b {
		zone b 64k;
		server %s;
		keepalive 128;
		sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:1m sync;
	}
	server {
		listen %s;
		keepalive_requests 100000000;
		location / {
			limit_req zone=req burst=100000 nodelay;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_pass http://b;
		}
		location = /hit { limit_req zone=req burst=100000 nodelay; error_page 404 =200 @ok; }
		location @ok { return 200 ok; }
		location = /text { return 200 $text; }
		location /api { api write=on; }
	}
}
stream { server { listen %s; zone_sync; %s } }
`, backendAt, listen, syncListen, members)
}

func (b *bench) write(name, text string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o644)
}

func (b *bench) nginx(path string, d duel) (*process, error) {
	dir, err := b.write(
		"nginx",
		"daemon off;\npid nginx.pid;\nerror_log stderr;\nworker_processes 1;\nevents { worker_connections 8192; }\n"+
			d.conf(nginxAt),
	)
	if err != nil {
		return nil, err
	}
	return start(measuredCore, nginxAt, nil, path, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
}

func (b *bench) haproxy(path string) (*process, error) {
	dir, err := b.write("haproxy", fmt.Sprintf(`global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
listen l
  bind %s
  server b %s
`, haproxyAt, backendAt))
	if err != nil {
		return nil, err
	}
	return start(measuredCore, haproxyAt, nil, path, "-db", "-f", filepath.Join(dir, "nginx.conf"))
}

func (b *bench) starling(name, conf string, core int, at string) (*process, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	return b.starlingOf(b.binary, name, conf, core, at)
}

func (b *bench) starlingOf(binary, name, conf string, core int, at string) (*process, error) {
	dir, err := b.write(
		name,
		"daemon off;\npid starling.pid;\nerror_log stderr;\nworker_processes 1;\nevents {}\n"+conf,
	)
	if err != nil {
		return nil, err
	}
	return start(core, at, nil, binary, "-p", dir+"/", "-c", "nginx.conf", "-e", "error.log")
}

// idle reports the memory of 2,000 connections that wait between requests.
func (b *bench) idle() error {
	const count = 2000
	list, done, err := b.contenders(plain())
	if err != nil {
		return err
	}
	defer done()
	for _, c := range list {
		conns := make([]net.Conn, 0, count)
		for range count {
			conn, err := net.Dial("tcp", c.at)
			if err != nil {
				return err
			}
			conns = append(conns, conn)
			if _, err := conn.Write(same("/")(0, 0)); err != nil {
				return err
			}
			if _, err := conn.Read(make([]byte, 4096)); err != nil {
				return err
			}
		}
		time.Sleep(time.Second) // the idle state is measured
		b.report.add("2,000 idle connections, MB, "+c.name, float64(c.process.memory())/1e6)
		for _, conn := range conns {
			_ = conn.Close() // only counted
		}
	}
	return nil
}
