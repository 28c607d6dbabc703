package h2

import (
	"testing"
	"testing/synctest"
	"time"
)

const (
	testGrace = 5 * time.Second
	allTaken  = "GOAWAY 0 last 2147483647"
	farewell  = "PING farewell false"
)

func (c *client) acknowledge() { c.raw(frame(framePing, flagAck, 0, "farewell")) }

// TestShutdown: what the client sent before it knew is answered, and what comes later is not.
func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	handler := &answers{serve: func(s *Stream) { <-release; hello(s) }}
	c := connect(t, handler, testSettings)
	c.request(1, true)
	c.ping()
	c.expect("PING SEE-THIS true")
	c.served.Shutdown(testGrace)
	c.served.Shutdown(testGrace) // once more says nothing more
	c.expect(allTaken, farewell)
	c.request(3, true) // was on its way
	c.raw(frame(framePing, flagAck, 0, "SEE-THIS"))
	c.request(5, true)
	c.acknowledge()
	c.expect("GOAWAY 0 last 5")
	c.request(7, true)
	c.acknowledge()
	close(release)
	answered := map[string]bool{}
	for f := c.read(); f != "end"; f = c.read() {
		answered[f] = true
	}
	for _, want := range []string{"DATA 1 hello true", "DATA 3 hello true", "DATA 5 hello true"} {
		if !answered[want] || len(answered) != 6 {
			t.Errorf("got %v, want %s", answered, want)
		}
	}
}

// TestShutdownOfAnIdleConnection: it ends as soon as the client has said that it knows.
func TestShutdownOfAnIdleConnection(t *testing.T) {
	c := connect(t, &answers{serve: hello}, testSettings)
	c.request(1, true)
	c.expect("HEADERS 1 false", "DATA 1 hello true")
	c.served.Shutdown(testGrace)
	c.expect(allTaken, farewell)
	c.acknowledge()
	c.expect("GOAWAY 0 last 1", "end")
}

// TestShutdownBeforeTheGreeting: SETTINGS come first whatever happens, and the first request is taken. GOAWAY waits for
// it: a client may not survive one that comes before SETTINGS, and one without another connection would fail its
// request.
func TestShutdownBeforeTheGreeting(t *testing.T) {
	c := dial(t, &answers{serve: hello}, testSettings, func(c *Conn) { c.Shutdown(testGrace) })
	c.greet()
	c.ping()
	c.expect("PING SEE-THIS true")
	c.request(1, true)
	c.expect(allTaken, farewell, "HEADERS 1 false", "DATA 1 hello true")
	c.request(3, true)
	c.expect("HEADERS 3 false", "DATA 3 hello true")
	c.acknowledge()
	c.expect("GOAWAY 0 last 3", "end")
}

// TestShutdownDoesNotWaitForEver: the graces for the first request and for the answer to the PING, and what they do not
// shorten.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	shutdown := func(c *Conn) { c.Shutdown(testGrace) }
	took := func(t *testing.T, c *client, began time.Time, want time.Duration, frames ...string) {
		t.Helper()
		c.expect(frames...)
		if got := time.Since(began); got != want {
			t.Errorf("%v after %v, want %v", frames, got, want)
		}
	}
	for name, test := range map[string]func(t *testing.T){
		"a client that sends nothing at all": func(t *testing.T) {
			began := time.Now()
			c := dial(t, &answers{serve: hello}, testSettings, shutdown)
			c.expect("SETTINGS", "WINDOW 0 2147418112")
			took(t, c, began, testGrace, "GOAWAY 0 last 0", "end")
		},
		"a client that sends no request": func(t *testing.T) {
			c := connect(t, &answers{serve: hello}, testSettings)
			time.Sleep(50 * time.Second) // virtual
			began := time.Now()
			shutdown(c.served)
			took(t, c, began, testGrace, "GOAWAY 0 last 0", "end")
		},
		"a client that does not answer": func(t *testing.T) {
			c := connect(t, &answers{serve: hello}, testSettings)
			c.request(1, true)
			c.expect("HEADERS 1 false", "DATA 1 hello true")
			began := time.Now()
			shutdown(c.served)
			took(t, c, began, 0, allTaken, farewell)
			time.Sleep(testGrace - time.Millisecond) // virtual
			c.request(3, true)
			took(t, c, began, testGrace-time.Millisecond, "HEADERS 3 false", "DATA 3 hello true")
			took(t, c, began, testGrace, "GOAWAY 0 last 3", "end")
		},
		"a client that does not answer while a stream goes on": func(t *testing.T) {
			release := make(chan struct{})
			c := connect(t, &answers{serve: func(s *Stream) { <-release; hello(s) }}, testSettings)
			c.request(1, true)
			began := time.Now()
			synctest.Wait()
			shutdown(c.served)
			took(t, c, began, testGrace, allTaken, farewell, "GOAWAY 0 last 1")
			time.Sleep(time.Hour / 2) // virtual
			close(release)
			took(t, c, began, testGrace+time.Hour/2, "HEADERS 1 false", "DATA 1 hello true", "end")
		},
		"a head that was begun": func(t *testing.T) {
			c := connect(t, &answers{serve: hello}, testSettings)
			c.raw(frame(frameHeaders, flagEndStream, 1, "\x82\x86"))
			synctest.Wait()
			began := time.Now()
			shutdown(c.served)
			time.Sleep(testSettings.HeaderTimeout - time.Second) // virtual
			c.raw(frame(frameContinuation, flagEndHeaders, 1, "\x84\x41\x01a"))
			took(t, c, began, testSettings.HeaderTimeout-time.Second, allTaken, farewell, "HEADERS 1 false", "DATA 1 hello true")
			took(t, c, began, testSettings.HeaderTimeout-time.Second+testGrace, "GOAWAY 0 last 1", "end")
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}
