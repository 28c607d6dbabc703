package upstream

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/clock"
	"starling/lib/testkit"
)

// line is a group with a queue and the requests that wait in it, in virtual time.
type line struct {
	*Group
	t      *testing.T
	clock  *clock.Clock
	noting sync.Mutex
	served []string // "NAME ADDRESS" or "NAME ERROR", in the order of the results
	got    map[string]*Attempt
	all    map[string]chan struct{} // closed when the client leaves
}

func queued(t *testing.T, most int, maxConns int, addrs ...string) *line {
	t.Helper()
	l := &line{Group: NewGroup("u", turns{}), t: t, clock: clock.Real(), got: map[string]*Attempt{}, all: map[string]chan struct{}{}}
	l.SetQueue(most, time.Minute, l.clock)
	for _, a := range addrs {
		s := NewSettings(a, tcp(a))
		s.MaxConns = maxConns
		if _, err := l.Add(s, l.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// ask lets a request come: it gets a server, an error, or waits.
func (l *line) ask(name, wanted string) {
	a := new(Attempt)
	l.Begin(a)
	a.Want([]byte(wanted))
	l.try(name, a)
}

func (l *line) try(name string, a *Attempt) {
	l.got[name], l.all[name] = a, make(chan struct{})
	s, err := a.Pick(l.clock.Now())
	if err != ErrQueued {
		l.note(name, s, err)
		return
	}
	go func() {
		for {
			s, err := a.Await(l.all[name], time.Second)
			if err != ErrInterrupted {
				l.note(name, s, err)
				return
			}
			select {
			case <-l.all[name]:
				a.Leave(l.clock.Now())
				return
			default: // a second has passed
			}
		}
	}()
	synctest.Wait()
}

func (l *line) leave(name string) {
	close(l.all[name])
	synctest.Wait()
}

func (l *line) note(name string, s *Server, err error) {
	result := fmt.Sprint(err)
	if err == nil {
		result = s.Name
	}
	l.noting.Lock()
	defer l.noting.Unlock()
	l.served = append(l.served, name+" "+result)
}

func (l *line) free(name string, outcome Outcome) {
	l.got[name].Free(outcome, l.clock.Now())
	synctest.Wait()
}

func (l *line) want(want ...string) {
	l.t.Helper()
	l.noting.Lock()
	defer l.noting.Unlock()
	if !slices.Equal(l.served, want) {
		l.t.Errorf("served %q, want %q", l.served, want)
	}
	l.served = nil
}

// TestQueueIsFirstComeFirstServed: who finds no server waits; a server that becomes free goes to the oldest, and whoever
// comes meanwhile does not overtake.
func TestQueueIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 3, 1, "10.0.0.1:80", "10.0.0.2:80")
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			l.ask(name, "")
		}
		l.want("a 10.0.0.1:80", "b 10.0.0.2:80", "f "+ErrQueueFull.Error())
		if got := *l.Report(l.clock.Now()).Queue; got != (QueueReport{Size: 3, MaxSize: 3, Overflows: 1}) {
			t.Errorf("%+v", got)
		}
		l.free("b", Success)
		l.want("c 10.0.0.2:80")
		l.ask("g", "")
		l.free("a", Success)
		l.free("c", Success)
		l.free("d", Success)
		l.want("d 10.0.0.1:80", "e 10.0.0.2:80", "g 10.0.0.1:80")
		l.ResetStats()
		if got := *l.Report(l.clock.Now()).Queue; got != (QueueReport{MaxSize: 3}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestQueueTimesOut: after the timeout a request has left the queue, and its place is free.
func TestQueueTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 1, 1, "10.0.0.1:80")
		l.ask("a", "")
		l.ask("b", "")
		testkit.Pass(time.Minute - time.Millisecond)
		l.want("a 10.0.0.1:80")
		testkit.Pass(time.Millisecond)
		l.want("b " + ErrQueueTimeout.Error())
		l.ask("c", "")
		l.free("a", Success)
		l.want("c 10.0.0.1:80")
	})
}

// TestQueueLeft: a client that leaves takes its place with it, and a server that was taken for it meanwhile goes to the
// next.
func TestQueueLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 1, "10.0.0.1:80")
		for _, name := range []string{"a", "b", "c"} {
			l.ask(name, "")
		}
		var late Attempt
		l.Begin(&late)
		if _, err := late.Pick(l.clock.Now()); err != ErrQueued {
			t.Fatal(err)
		}
		l.ask("d", "")
		interrupt := make(chan struct{}, 1)
		interrupt <- struct{}{}
		if _, err := late.Await(interrupt, time.Second); err != ErrInterrupted {
			t.Fatal(err)
		}
		l.leave("b")
		l.free("a", Success)
		l.free("c", Success) // late has it now, and its client has left
		l.want("a 10.0.0.1:80", "c 10.0.0.1:80")
		late.Leave(l.clock.Now())
		synctest.Wait()
		l.want("d 10.0.0.1:80")
		if r := l.Report(l.clock.Now()); r.Queue.Size != 0 || r.Peers[0].Active != 1 || r.Peers[0].Requests != 3 {
			t.Errorf("%+v %+v", r.Queue, r.Peers)
		}
		l.free("d", Success)
	})
}

// TestQueueEndsWhenAServerBecomesAvailable: by time, by the API and by DNS.
func TestQueueEndsWhenAServerBecomesAvailable(t *testing.T) {
	for name, c := range map[string]struct {
		first Change // of the only server
		event func(l *line) error
		want  string
	}{
		"fail_timeout": {Change{}, func(*line) error { testkit.Pass(10*time.Second + time.Millisecond); return nil }, "10.0.0.1:80"},
		"added": {Change{Down: set(true)}, func(l *line) error {
			_, err := l.AddNew(NewSettings("10.0.0.3:80", tcp("10.0.0.3:80")), l.clock.Now())
			return err
		}, "10.0.0.3:80"},
		"no longer down": {Change{Down: set(true)}, func(l *line) error {
			_, err := l.Change(0, Change{Down: set(false)}, l.clock.Now())
			return err
		}, "10.0.0.1:80"},
		"max_conns": {Change{MaxConns: set(1)}, func(l *line) error {
			_, err := l.Change(0, Change{MaxConns: set(2)}, l.clock.Now())
			return err
		}, "10.0.0.1:80"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := queued(t, 5, 0, "10.0.0.1:80", "10.0.0.2:80")
			if _, err := l.Change(1, Change{Down: set(true)}, l.clock.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Change(0, c.first, l.clock.Now()); err != nil {
				t.Fatal(err)
			}
			outcome := Success
			switch name {
			case "fail_timeout":
				outcome = Failure
				fallthrough
			case "max_conns":
				l.ask("first", "")
				l.want("first 10.0.0.1:80")
			}
			if outcome == Failure {
				l.free("first", outcome)
			}
			l.ask("a", "")
			l.want()
			if err := c.event(l); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			l.want("a " + c.want)
		})
	}
}

// ill is a monitor that takes every new server for unhealthy.
type ill struct{}

func (ill) Joined(s *Server) (any, Health) { return s.ID, Unhealthy }
func (ill) Failing(any)                    {}

// TestQueueEndsWhenAServerIsHealthy: a health check that succeeds serves those who wait.
func TestQueueEndsWhenAServerIsHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 0, "10.0.0.1:80", "10.0.0.2:80")
		l.Watch(ill{}, l.clock.Now())
		l.ask("a", "")
		l.want()
		l.primary.servers[1].SetHealth(1, Healthy, l.clock.Now())
		synctest.Wait()
		l.want("a 10.0.0.2:80")
	})
}

// TestQueueOfRetries: a request that has tried every server does not wait, one that has tried some does; it does not
// keep what it cannot use from those behind it.
func TestQueueOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 1, "10.0.0.1:80", "10.0.0.2:80")
		l.ask("a", "")
		l.ask("b", "")
		l.free("a", Passed)
		retry := l.got["a"]
		l.ask("c", "")
		l.try("a", retry) // waits for the second server
		l.ask("d", "")
		l.want("a 10.0.0.1:80", "b 10.0.0.2:80", "c 10.0.0.1:80")
		l.free("c", Success)
		l.want("d 10.0.0.1:80")
		l.free("b", Success)
		l.want("a 10.0.0.2:80")
		l.free("a", Passed)
		l.free("d", Success)
		if _, err := retry.Pick(l.clock.Now()); !errors.Is(err, ErrNoLive) {
			t.Errorf("after all servers were tried: %v", err)
		}
	})
}

// TestKeptPlaces: a request whose idle connection was outdated keeps its place before those who wait, until it is
// retried, gives up, or its server goes out of service.
func TestKeptPlaces(t *testing.T) {
	for _, c := range []struct {
		name  string
		then  func(t *testing.T, l *line, a *Attempt)
		want  []string
		inUse int // of the first server
	}{
		{"retried", func(_ *testing.T, l *line, a *Attempt) { l.try("a", a) }, []string{"a 10.0.0.1:80"}, 1},
		{"retried twice", func(_ *testing.T, l *line, a *Attempt) {
			l.try("a", a)
			a.Keep()
			l.free("a", Failure)
			l.try("a", a)
		}, []string{"a 10.0.0.1:80", "a 10.0.0.1:80"}, 1},
		{"retried, and answered", func(_ *testing.T, l *line, a *Attempt) {
			l.try("a", a)
			l.free("a", Success)
		}, []string{"a 10.0.0.1:80", "c 10.0.0.1:80"}, 1},
		{"given up", func(_ *testing.T, l *line, a *Attempt) { a.GiveUp(l.clock.Now()) }, []string{"c 10.0.0.1:80"}, 1},
		{"down", func(t *testing.T, l *line, a *Attempt) {
			if _, err := l.Change(0, Change{Down: set(true)}, l.clock.Now()); err != nil {
				t.Fatal(err)
			}
			l.try("a", a)
			l.free("b", Success)
			l.free("c", Success)
		}, []string{"c 10.0.0.2:80", "a 10.0.0.2:80"}, 0},
		{"draining", func(t *testing.T, l *line, a *Attempt) {
			if _, err := l.Change(0, Change{Drain: set(true)}, l.clock.Now()); err != nil {
				t.Fatal(err)
			}
			l.try("a", a)
		}, []string{"a 10.0.0.1:80"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := queued(t, 5, 1, "10.0.0.1:80", "10.0.0.2:80")
				for _, name := range []string{"a", "b", "c"} {
					l.ask(name, "")
				}
				l.want("a 10.0.0.1:80", "b 10.0.0.2:80")
				a := l.got["a"]
				a.Keep()
				l.free("a", Failure)
				l.want()
				c.then(t, l, a)
				synctest.Wait()
				l.want(c.want...)
				if got := l.primary.servers[0].Active(); got != c.inUse {
					t.Errorf("%d requests at the first server, want %d", got, c.inUse)
				}
				for name := range l.got { // whoever waits gets a server in the end
					l.free(name, Success)
				}
			})
		})
	}
}

// TestKeptPlacesWithoutAQueue: a single server keeps the place; of several, the next one is tried, as in nginx.
func TestKeptPlacesWithoutAQueue(t *testing.T) {
	for _, c := range []struct {
		addrs      []string
		kept       int    // places on the first server
		other, own string // what another request and the retry get
	}{
		{[]string{"10.0.0.1:80"}, 1, ErrNoLive.Error(), "10.0.0.1:80"},
		{[]string{"10.0.0.1:80", "10.0.0.2:80"}, 0, "10.0.0.2:80", "10.0.0.2:80"},
	} {
		g := NewGroup("u", turns{})
		for _, addr := range c.addrs {
			settings := NewSettings(addr, tcp(addr))
			settings.MaxConns, settings.MaxFails = 1, 0
			if _, err := g.Add(settings, start); err != nil {
				t.Fatal(err)
			}
		}
		var a Attempt
		g.Begin(&a)
		if _, err := a.Pick(start); err != nil {
			t.Fatal(err)
		}
		a.Keep()
		a.Free(Failure, start)
		if got := g.primary.servers[0].Active(); got != c.kept || a.Keeps() != (c.kept > 0) {
			t.Errorf("%q: %d places are kept, want %d", c.addrs, got, c.kept)
		}
		if got := pick(t, g, start); got != c.other {
			t.Errorf("%q: another request got %s, want %s", c.addrs, got, c.other)
		}
		if s, err := a.Pick(start); err != nil || s.Name != c.own {
			t.Errorf("%q: the retry got %v, %v, want %s", c.addrs, s, err, c.own)
		}
	}
}

// TestQueueAndDraining: a session's request gets its draining server past those who wait for any other.
func TestQueueAndDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 1, "10.0.0.1:80", "10.0.0.2:80")
		mine := sessionIDOf("", "10.0.0.2:80")
		if _, err := l.Change(1, Change{Drain: set(true)}, l.clock.Now()); err != nil {
			t.Fatal(err)
		}
		l.ask("a", "")
		l.ask("b", "")
		l.ask("c", mine)
		l.ask("d", mine)
		l.want("a 10.0.0.1:80", "c 10.0.0.2:80")
		l.free("c", Success)
		l.want("d 10.0.0.2:80")
		l.free("a", Success)
		l.want("b 10.0.0.1:80")
	})
}

// TestQueueBeginsWithThePrimaries: a request that found neither a primary nor a backup gets the primary that comes back.
func TestQueueBeginsWithThePrimaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 1, "10.0.0.1:80")
		backup := NewSettings("10.0.0.9:80", tcp("10.0.0.9:80"))
		backup.Backup, backup.MaxConns = true, 1
		if _, err := l.Add(backup, l.clock.Now()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			l.ask(name, "")
		}
		l.free("a", Success)
		l.want("a 10.0.0.1:80", "b 10.0.0.9:80", "c 10.0.0.1:80")
	})
}

// TestNobodyWaitsInAnEmptyGroupWithoutAQueue: the queue is what makes an empty group wait for its first server.
func TestNobodyWaitsInAnEmptyGroupWithoutAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := queued(t, 5, 0)
		l.ask("a", "")
		l.want()
		if _, err := l.Add(NewSettings("10.0.0.1:80", tcp("10.0.0.1:80")), l.clock.Now()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.want("a 10.0.0.1:80")
		if got := pick(t, NewGroup("v", turns{}), start); got != ErrNoLive.Error() {
			t.Error(got)
		}
	})
}
