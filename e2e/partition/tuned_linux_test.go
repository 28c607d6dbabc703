package partition

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/e2e/lan"
	"starling/lib/testkit"
)

var seedFlag = flag.Uint64("seed", 0, "the seed of TestTheSettingsDoNotMatter; 0 is the usual one")

// tunedHTTP has all kinds of state; the zones of the sync server's settings follow.
const tunedHTTP = `http {
	keyval_zone zone=one:1m sync;
	keyval $arg_text $text zone=one;
	limit_req_zone $arg_k zone=req:1m rate=1r/m sync;
	upstream my_backend {
		zone my_backend 64k;
		SERVERS
		sticky learn zone=sessions:1m create=$upstream_cookie_session lookup=$cookie_session sync;
	}
	server {
		listen {{.IP}}:8080;
		location / { proxy_pass http://my_backend; }
		location = /limited { limit_req zone=req burst=29 nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9000 TLS; zone_sync; SETTINGS
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// drawSettings draws what an operator may set. The first variant is what is set where nothing is.
func drawSettings(r *rand.Rand, variant int) (settings string, tls bool) {
	if variant == 0 {
		return "", false
	}
	size := 1 << r.IntN(7) // KB
	number := 2 + r.IntN(100)
	settings = fmt.Sprintf("zone_sync_buffers %d %dk; zone_sync_recv_buffer_size %dk; zone_sync_interval %dms; zone_sync_timeout %dms; "+
		"zone_sync_connect_timeout %dms; zone_sync_connect_retry_interval %dms; ", number, size, size*(1+r.IntN(number)), r.IntN(2000),
		1000+r.IntN(6000), 1000+r.IntN(6000), 20+r.IntN(1500))
	return settings, variant%2 == 0
}

// TestTheSettingsDoNotMatter: the same operations, on clusters with random zone_sync settings, end in the same state.
// sim/ does so with many scripts; here a few run on real nodes, with sockets and TLS.
func TestTheSettingsDoNotMatter(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = 1
	}
	for variant := range 4 {
		t.Run(fmt.Sprint("variant=", variant), func(t *testing.T) {
			t.Parallel()
			settings, tls := drawSettings(rand.New(rand.NewPCG(seed, uint64(variant))), variant)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("with TLS %v, %s\nreplay with: go test ./e2e/partition -run TheSettingsDoNotMatter -seed=%d", tls, settings, seed)
				}
			})
			s := &scripted{Hosts: harness.NewHosts(t, 3), r: rand.New(rand.NewPCG(seed, 0x3e7a)), pairs: map[string]string{}, sessions: map[string]string{}}
			s.startTuned(settings, tls)
			s.perform()
		})
	}
}

// scripted is a cluster on which a script is performed, with what is to follow from it. The script follows from the
// seed alone.
type scripted struct {
	*harness.Hosts
	r        *rand.Rand
	epoch    int
	pairs    map[string]string
	sessions map[string]string // backends
	hits     int               // of the key "full", and but for the last one of "almost"
}

func (s *scripted) startTuned(settings string, tls bool) {
	var servers string
	for i := range 3 {
		servers += fmt.Sprintf("server %s;\n", s.BackendHost(101+i, fmt.Sprintf("backend%d", i)))
	}
	listen := ""
	if tls {
		listen = "ssl; ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem; " + harness.Asked
		listen = strings.TrimSuffix(listen, "; ")
		settings += "zone_sync_ssl on; " + harness.Verified + harness.Shown
	}
	s.Start(strings.NewReplacer("SERVERS", servers, " TLS", " "+listen, "SETTINGS", settings).Replace(tunedHTTP))
}

// perform does the script and wants what follows from it.
func (s *scripted) perform() {
	a, b, c := s.Nodes[0], s.Nodes[1], s.Nodes[2]
	s.work(80, s.Nodes...)
	s.same()
	b.Wants(204, "", "DELETE", harness.SetOne, "")
	clear(s.pairs)
	s.same()

	s.work(40, s.Nodes...)
	s.same()
	s.Network.Set(s.At(a), s.At(c), lan.Trouble{Cut: true})
	s.work(80, s.Nodes...)
	s.Network.Heal()
	s.same()

	b.Kill()
	s.work(40, a, c)
	b.Start()
	s.same()
	s.work(40, s.Nodes...)
	b.Quit()
	b.Start()
	s.same()
	s.exhaust()
}

// work draws and does operations on some nodes. In an epoch each key has one writer, so that timing decides nothing.
func (s *scripted) work(count int, nodes ...*harness.Node) {
	s.T.Helper()
	s.epoch++
	for range count {
		k := s.r.IntN(30)
		n := nodes[(k+s.epoch)%len(nodes)]
		key, value := fmt.Sprint("k", k), fmt.Sprint("v", s.r.Uint32())
		_, present := s.pairs[key]
		switch what := s.r.IntN(10); {
		case what < 5 && present:
			n.Wants(204, "", "PATCH", harness.SetOne, fmt.Sprintf(`{%q:%q}`, key, value))
			s.pairs[key] = value
		case what < 5:
			n.Wants(201, "*", "POST", harness.SetOne, fmt.Sprintf(`{%q:%q}`, key, value))
			s.pairs[key] = value
		case what < 7 && present:
			n.Wants(204, "", "PATCH", harness.SetOne, fmt.Sprintf(`{%q:null}`, key))
			delete(s.pairs, key)
		case what < 9:
			s.visit(n, fmt.Sprint("s", k))
		case s.hits < 29:
			s.hits++
			n.Wants(200, "ok", "GET", "/limited?k=full", "")
			n.Wants(200, "ok", "GET", "/limited?k=almost", "")
		}
	}
}

// visit begins a session at a node, or comes back with it.
func (s *scripted) visit(n *harness.Node, session string) {
	s.T.Helper()
	backend, known := s.sessions[session]
	if !known {
		s.sessions[session] = n.Must("GET", "/?session="+session, "").Body
		return
	}
	n.Wants(200, backend, "GET", "/", "", "Cookie", "session="+session)
}

// same waits until all is everywhere, and compares it with what is to follow from the script.
func (s *scripted) same() {
	s.T.Helper()
	s.Joined(len(s.Nodes))
	for _, n := range s.Nodes {
		n.Sees("/api/9/stream/zone_sync/ready", `{"ready":true}`)
	}
	s.Acknowledged()
	testkit.Eventually(s.T, 2*harness.Patience, func() error {
		for _, n := range s.Nodes {
			pairs, err := n.Pairs("one")
			if err == nil && !maps.Equal(pairs, s.pairs) {
				err = fmt.Errorf("%s holds %v, want %v", n.Name, pairs, s.pairs)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for session, backend := range s.sessions {
		for _, n := range s.Nodes {
			n.Wants(200, backend, "GET", "/", "", "Cookie", "session="+session)
		}
	}
}

// exhaust uses up one limit, and all but one request of another: then every node must refuse the first, and one of them
// pass the other once.
func (s *scripted) exhaust() {
	for ; s.hits < 29; s.hits++ {
		n := s.Nodes[s.hits%len(s.Nodes)]
		n.Wants(200, "ok", "GET", "/limited?k=full", "")
		n.Wants(200, "ok", "GET", "/limited?k=almost", "")
	}
	s.Nodes[1].Wants(200, "ok", "GET", "/limited?k=full", "")
	s.Acknowledged()
	for _, n := range s.Nodes {
		n.Wants(503, "*", "GET", "/limited?k=full", "")
	}
	s.Nodes[2].Wants(200, "ok", "GET", "/limited?k=almost", "")
	s.Acknowledged()
	for _, n := range s.Nodes {
		n.Wants(503, "*", "GET", "/limited?k=almost", "")
	}
}
