package remote

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"starling/carrier"
	"starling/cluster"
)

// healthy is a cluster of two nodes in which all is well.
func healthy() *carrier.Status {
	return &carrier.Status{
		Status: cluster.Status{
			NodeID: "00000000000000a1", Ready: true, Agree: true, Agreement: "agree",
			Zones: map[string]cluster.ZoneStatus{"one": {Ready: true, Agreement: "agree"}, "req": {Ready: true}},
			Peers: []cluster.PeerStatus{{
				NodeID: "00000000000000b2", State: "connected", Address: "10.0.0.2:9000", From: "10.0.0.2",
				Digests: map[string]cluster.Agreement{"one": {State: "agree"}},
			}},
		},
		Members: []carrier.MemberStatus{
			{Address: "10.0.0.1:9000", Member: "10.0.0.1:9000", State: "self"},
			{Address: "10.0.0.2:9000", Member: "10.0.0.2:9000", State: "connected"},
		},
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*carrier.Status)
		problem string // "": healthy
	}{
		{"all is well", func(*carrier.Status) {}, ""},
		{"a busy zone is not compared", func(s *carrier.Status) {
			s.Agree, s.Agreement = false, "unknown"
			s.Peers[0].Digests["one"] = cluster.Agreement{State: "unknown"}
		}, ""},
		{"a peer of before is gone", func(s *carrier.Status) { s.Peers[0].State = "lost" }, ""},
		{"learning", func(s *carrier.Status) { s.Ready, s.NotReady = false, "zone one is learning" }, "the node is not ready: zone one is learning"},
		{"a warning", func(s *carrier.Status) { s.Warning = "member X fails" }, "member X fails"},
		{"unreachable", func(s *carrier.Status) { s.Members[1].State, s.Members[1].LastError = "connecting", "refused" }, "10.0.0.2:9000 is not connected: refused"},
		{"no reason yet", func(s *carrier.Status) { s.Members[1].State = "connecting" }, "10.0.0.2:9000 is not connected: reason unknown"},
		{"a name without addresses", func(s *carrier.Status) {
			s.Members[1] = carrier.MemberStatus{Member: "n:9000", State: "unresolved", LastError: "NXDOMAIN"}
		}, "n:9000 is not connected: NXDOMAIN"},
		{"one direction", func(s *carrier.Status) { s.Peers[0].State = "pushing" }, "10.0.0.2:9000 does not connect to this node: look for the reason in its status"},
		{"the other", func(s *carrier.Status) { s.Peers[0].State, s.Peers[0].Address = "accepted", "" }, "10.0.0.2 connects to this node, which does not connect to it: list it with \"zone_sync_server\""},
		{"a clock", func(s *carrier.Status) { s.Peers[0].ClockRefused, s.Peers[0].OffsetMS = true, 90000 }, "the clock of 10.0.0.2:9000 is 90000 ms off: run NTP there"},
		{"a mismatch", func(s *carrier.Status) { s.Peers[0].Mismatches = []string{"zone \"one\": types differ"} }, "a zone is not shared with 10.0.0.2:9000: zone \"one\": types differ"},
		{"different records", func(s *carrier.Status) {
			s.Zones["one"] = cluster.ZoneStatus{Ready: true, Agreement: "differ"}
			s.Peers[0].Digests["one"] = cluster.Agreement{State: "differ"}
		}, "zone one differs from that of 10.0.0.2:9000"},
		{"rejected records", func(s *carrier.Status) {
			s.Zones["one"] = cluster.ZoneStatus{Ready: true, Agreement: "differ"}
			s.Peers[0].Digests["one"] = cluster.Agreement{State: "differ", Rejected: "the peer rejected 1 record of this node: why"}
		}, "zone one differs from that of 10.0.0.2:9000: the peer rejected 1 record of this node: why"},
		{"a strict zone that is closed", func(s *carrier.Status) {
			s.Zones["req"] = cluster.ZoneStatus{Ready: true, Agreement: "unknown", Strict: &cluster.StrictZone{State: "closed", Reason: "missing: b"}}
		}, "strict zone req does not decide: missing: b"},
		{"a strict zone that waits", func(s *carrier.Status) {
			s.Zones["req"] = cluster.ZoneStatus{Ready: true, Agreement: "unknown", Strict: &cluster.StrictZone{State: "waiting", Configured: 2}}
		}, "strict zone req waits for the other members"},
		{"a strict zone that does not decide there", func(s *carrier.Status) {
			s.Zones["req"] = cluster.ZoneStatus{Ready: true, Agreement: "unknown", Strict: &cluster.StrictZone{
				State: "member", Members: []string{"10.0.0.1:9000"}, Configured: 2,
			}}
		}, "strict zone req is decided without 10.0.0.2:9000: look for the reason in the status there"},
		{"a strict zone of others than the members", func(s *carrier.Status) {
			s.Members, s.Zones["req"] = nil, cluster.ZoneStatus{Ready: true, Strict: &cluster.StrictZone{
				State: "member", Members: []string{"a"}, Configured: 2,
			}}
		}, "strict zone req is decided by 1 of 2 members: look for the reason in the status of the others"},
		{"a strict zone in an upgrade", func(s *carrier.Status) {
			s.Zones["req"] = cluster.ZoneStatus{Ready: true, Agreement: "agree", Strict: &cluster.StrictZone{State: "additive", Configured: 2}}
		}, ""},
		{"full there", func(s *carrier.Status) {
			s.Zones["one"] = cluster.ZoneStatus{Ready: true, Agreement: "full, not comparable"}
		}, "zone one of a peer is full and cannot be compared: increase its size there"},
		{"full", func(s *carrier.Status) { s.Zones["req"] = cluster.ZoneStatus{Ready: true, Full: true} }, "zone req rejects or has evicted records: increase its size"},
		{"the node says no more", func(s *carrier.Status) { s.Agree = false }, "the nodes do not agree"},
		{"control characters", func(s *carrier.Status) { s.Warning = "\x1b[2J" }, `"\x1b[2J"`},
	} {
		s := healthy()
		c.change(s)
		if got := strings.Join(problems(s), "; "); got != c.problem {
			t.Errorf("%s: %q, want %q", c.name, got, c.problem)
		}
	}
}

// A row is there for each node, once, whether it is a peer or only a member.
func TestTables(t *testing.T) {
	s := healthy()
	s.OffsetMS, s.Peers[0].OffsetMS, s.Peers[0].Teaching = -20, 15, true
	s.Peers = append(s.Peers, cluster.PeerStatus{NodeID: "00000000000000c3", State: "replaced", Address: "10.0.0.2:9000"})
	s.Members = append(s.Members, carrier.MemberStatus{Address: "10.0.0.3:9000", State: "connecting"})
	s.Zones["one"] = cluster.ZoneStatus{
		RecordsTotal: 5, SyncedShards: 64, RecordBytes: 3 << 20, Agreement: "agree", Digest: "00ff", Full: true, Evicted: 2, GaveUp: 1,
	}
	s.Zones["req"] = cluster.ZoneStatus{
		Ready: true, Agreement: "agree", Strict: &cluster.StrictZone{
			State: "member", View: 3, Members: []string{"10.0.0.1:9000", "10.0.0.2:9000"}, Configured: 3,
		},
	}
	var b strings.Builder
	if err := writeStatus(&b, &client{name: "http://a/api"}, s, problems(s)); err != nil {
		t.Fatal(err)
	}
	const want = `cluster as node 00000000000000a1 sees it (http://a/api): NOT HEALTHY

NODE              ADDRESS        STATE              AGREEMENT  LAG   PENDING  RTT   CLOCK   LOST
00000000000000a1  10.0.0.1:9000  ready              agree      -     -        -     +20 ms  -
00000000000000b2  10.0.0.2:9000  connected, taught  agree      0 ms  0        0 ms  +35 ms  0
-                 10.0.0.3:9000  connecting         -          -     -        -     -       -

ZONE  RECORDS  PENDING  TOMBSTONES  MEMORY  AGREEMENT  DIGEST  REMARKS
one   5        0        0           3.0 MB  agree      00ff    synced 25%, full, 2 evicted, 1 tombstone dropped
req   0        0        0           0 B     agree      -       strict: member, 2 of 3 members in view 3

problem: 10.0.0.3:9000 is not connected: reason unknown
problem: zone one rejects or has evicted records: increase its size
problem: strict zone req is decided without 10.0.0.3:9000: look for the reason in the status there
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestParseAPI(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:8080":           "http://127.0.0.1:8080/api",
		"https://a.example/x/api/": "https://a.example/x/api",
		"http://[::1]:8080":        "http://[::1]:8080/api",
		"unix:/run/s":              "http://localhost/api /run/s",
		"unix:/run/s:/admin":       "http://localhost/admin /run/s",
		"unix:":                    "", "": "", "ftp://a": "", "http://a?x": "", "http://": "", ":": "",
	} {
		u, socket, err := parseAPI(text)
		got := ""
		if err == nil {
			got = strings.TrimSpace(u.String() + " " + socket)
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

// What a node cannot write is a problem of it; a node of an earlier release does not tell.
func TestUnsavedFilesAreAProblem(t *testing.T) {
	for answer, want := range map[string]string{
		`{"total":0,"files":[]}`: "",
		`{"total":1,"files":[{"file":"/s/one","since":"2026-11-30T01:52:02.000Z","error":"full\u001b"}]}`: "/s/one cannot be written; " +
			`a restart would lose the latest changes: "full\x1b"`,
		`{"error":{"status":404,"text":"path not found","code":"PathNotFound"}}`: "",
	} {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/stream/zone_sync/cluster"):
				json.NewEncoder(w).Encode(healthy())
			case strings.Contains(answer, "PathNotFound"):
				w.WriteHeader(http.StatusNotFound)
				fallthrough
			default:
				io.WriteString(w, answer)
			}
		}))
		a := access{api: node.URL + "/api"}
		api, err := a.client()
		if err != nil {
			t.Fatal(err)
		}
		_, found, err := api.health(t.Context())
		if got := strings.Join(found, "; "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", answer, got, err, want)
		}
		node.Close()
	}
}
