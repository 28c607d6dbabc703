package limitconn_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/modules/stream/limitconn"
	"starling/stream/streamtest"
)

// A strict zone counts, rejects and frees like another one, and can end what it counts: the client sees the end of its
// session, whose place is free.
func TestAStrictZoneEndsItsSessions(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone $server_port zone=one:32k sync strict;
		server { listen 1; limit_conn one 1; say $limit_conn_status hold; } }`, nil, &core.Module, &limitconn.Module, streamtest.Say())
	gate := s.Plan.Zones.All()[0].Value.(interface{ Gate() *strict.Gate }).Gate()
	if got := s.Ask(0); got != "" {
		t.Errorf("a zone of no cluster admits: %q", got)
	}
	nowUS := clock.SteadyUS()
	limit, keys := gate.ConnLimit()
	config := strict.Config{IDs: []uint64{1}, Incarnation: 1, Slots: limit, LeaseUS: 5_000_000, KeysMost: keys}
	gate.Open(strict.New(config, nowUS), []string{"this:9000"}, func(strict.Envelope) {}, func() {})
	gate.Install(strict.View{Number: 1, Members: []strict.Member{{Incarnation: 1, Birth: 1}}, Founding: true}, nowUS)
	gate.Tick(nowUS + 1)
	held := s.Dial(0)
	if _, err := io.ReadFull(held, make([]byte, len("PASSED"))); err != nil {
		t.Fatal(err)
	}
	if got := s.Ask(0); got != "" {
		t.Errorf("the second of one got %q", got)
	}
	ends := gate.EndAll()
	if len(ends) != 1 {
		t.Fatalf("%d sessions would be ended", len(ends))
	}
	ends[0]()
	if err := held.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %d, %v", n, err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		conn := s.Dial(0)
		if _, err := io.ReadFull(conn, make([]byte, len("PASSED"))); err != nil {
			return errors.Join(errors.New("the place of the one that was ended is not free"), err)
		}
		return nil
	})
}
