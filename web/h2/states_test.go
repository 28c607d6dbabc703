package h2

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// TestDataOnClosedStreams: a client that has ended a stream and sends on is told so, once. What comes on a stream that
// we ended was on its way.
func TestDataOnClosedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		handler := &answers{serve: func(s *Stream) {
			if string(s.Head.Path) == "/held" {
				<-release
			}
			hello(s)
		}}
		c := connect(t, handler, testSettings)
		answered := func(id uint32) {
			c.expect(fmt.Sprintf("HEADERS %d false", id), fmt.Sprintf("DATA %d hello true", id))
			synctest.Wait() // the end of a stream comes after its response
		}
		quiet := func(what string) {
			t.Helper()
			c.ping()
			if got := c.read(); got != "PING SEE-THIS true" {
				t.Fatalf("%s: %s", what, got)
			}
		}

		c.request(1, true)
		answered(1)
		c.body(1, true, "more")
		c.expect("RST 1 5")
		c.body(1, true, "more")
		quiet("once more")

		block := c.head(":method GET", ":scheme http", ":path /held", ":authority localhost")
		c.raw(frame(frameHeaders, flagEndHeaders, 3, string(block)))
		c.reset(3)
		c.body(3, false, "x")
		c.expect("RST 3 5")
		c.body(3, false, "x")
		quiet("behind RST_STREAM once more")
		close(release)

		c.request(5, false)
		answered(5)
		c.expect("RST 5 0")
		c.body(5, false, "was on its way")
		c.widen(5, 1)
		quiet("a stream that was answered early")
		c.reset(5)
		c.body(5, false, "after all")
		c.expect("RST 5 5")
		c.reset(1)
		quiet("RST_STREAM on a closed stream")

		c.request(9, true)
		answered(9)
		c.body(7, false, "x") // left out, and closed by that
		quiet("a stream that was left out")

		for id := uint32(11); id < 11+2*rememberedStreams; id += 2 {
			c.request(id, true)
			answered(id)
		}
		c.body(9, false, "x")
		quiet("a stream that is forgotten")
	})
}

// TestFramesOfStreamsThatCameTooLate: what follows a stream that is not served any more is no error of the client.
func TestFramesOfStreamsThatCameTooLate(t *testing.T) {
	release := make(chan struct{})
	c := connect(t, &answers{serve: func(s *Stream) { <-release; hello(s) }, last: 1}, testSettings)
	c.request(1, true)
	c.expect("GOAWAY 0 last 1")
	c.request(3, false)
	c.body(3, false, "x")
	c.widen(3, 1)
	c.reset(3)
	c.ping()
	c.expect("PING SEE-THIS true")
	close(release)
	c.expect("HEADERS 1 false", "DATA 1 hello true", "end")
}

// TestAWrongBodyThatNobodyReads: what makes a request no proper message is told by the reset, the answer given or not
// (RFC 9113, 8.1.1).
func TestAWrongBodyThatNobodyReads(t *testing.T) {
	for _, test := range []struct{ length, sent, want string }{{"content-length 3", "four", "RST 1 1"}, {"content-length 8", "four", "RST 1 0"}} {
		release := make(chan struct{})
		c := connect(t, &answers{serve: func(s *Stream) { <-release; hello(s) }}, testSettings)
		c.request(1, false, test.length)
		c.body(1, false, test.sent)
		c.ping()
		c.expect("PING SEE-THIS true")
		close(release)
		c.expect("HEADERS 1 false", "DATA 1 hello true", test.want)
	}
}
