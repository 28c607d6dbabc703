package carrier

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starling/cluster"
	"starling/lib/clock"
)

// TestRetryInterval: attempts come one interval apart, and so does the one after a connection that stood for less; one
// that stood for longer is followed by an attempt at once, unless the peer shuts down. All of it in virtual time.
func TestRetryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 10 * time.Second
		idle := func(id cluster.NodeID, members ...Member) *Carrier { // its clock is that of the bubble
			c, err := New(Config{
				Node:    cluster.Config{ID: id, Incarnation: 1, Settings: cluster.Settings{TimeoutMS: 3_600_000, ConnectTimeoutMS: 2000}},
				Members: members, RetryInterval: interval, Clock: clock.Real(), Log: &journalLog{t: t},
			})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b := idle(1, Member{Host: "127.0.0.1", Port: 1}), idle(2)
		began := time.Now()
		var mu sync.Mutex
		var dialled []time.Duration
		var up, stands net.Conn // up is what the next attempt gets, nil: it is refused
		a.dialer = func(context.Context, string, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, time.Since(began))
			if up == nil {
				return nil, syscall.ECONNREFUSED
			}
			conn := up
			up = nil
			return conn, nil
		}
		listen := func() {
			near, far := net.Pipe()
			mu.Lock()
			up, stands = near, far
			mu.Unlock()
			go b.Serve(far, Client{Name: "a", Host: "a"})
		}
		a.run(a.dialers["127.0.0.1:1"])
		time.Sleep(25 * time.Second)
		listen()
		time.Sleep(10 * time.Second) // it connects at 30 s,
		stands.Close()               // and is cut off at 35 s
		time.Sleep(time.Second)
		listen()
		time.Sleep(24 * time.Second) // again at 45 s,
		stands.Close()               // and cut off at 60 s
		time.Sleep(time.Second)
		listen()
		time.Sleep(24 * time.Second)                // again at 70 s,
		if err := b.Quit(t.Context()); err != nil { // and told at 85 s that the peer shuts down: its port may still be open
			t.Error(err)
		}
		time.Sleep(15 * time.Second)
		a.Close()
		want := []time.Duration{0, 10, 20, 30, 45, 60, 70, 95}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(dialled, want) {
			t.Errorf("dialled at %v, want %v", fmt.Sprint(dialled), want)
		}
	})
}

// A burst is read in large pieces, and what it needed is given back when it is over.
func TestReadsFollowTheTraffic(t *testing.T) {
	size := minReceiveBytes
	for range 10 {
		size = readSize(size, size, 64<<10)
	}
	if size != 64<<10 {
		t.Errorf("after a burst %d bytes are read at a time", size)
	}
	for range 10 {
		size = readSize(size, 30, 64<<10)
	}
	if size != minReceiveBytes {
		t.Errorf("when it is quiet %d bytes are kept to read into", size)
	}
	if got := readSize(minReceiveBytes, minReceiveBytes, minReceiveBytes); got != minReceiveBytes {
		t.Errorf("a stranger is given %d bytes", got)
	}
}

// A node that connects over and over makes its name be looked up twice a second at most, even if each answer is another
// one.
func TestStrangersDoNotFloodTheNameServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &addresses{valid: time.Hour}
		c, err := New(Config{
			Node:    cluster.Config{ID: 1, Incarnation: 1, Settings: cluster.Settings{TimeoutMS: 5000, ConnectTimeoutMS: 2000}},
			Members: []Member{{Host: "cluster.test", Port: 1, Resolve: true}}, Resolver: dns,
			Clock: clock.Real(), Log: &journalLog{t: t},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := c.watches["cluster.test:1"]
		c.tasks.Go(w.run)
		const connects = 10_000
		for i := range connects {
			dns.answer(nil, fmt.Sprintf("127.0.0.%d", i%2+1))
			w.hurry()
			time.Sleep(time.Millisecond)
		}
		c.Close()
		if most := int(connects*time.Millisecond/urgentPause) + 1; dns.forgotten < most/2 || dns.forgotten > most {
			t.Errorf("%d connections made %d lookups, want about %d", connects, dns.forgotten, most)
		}
	})
}
