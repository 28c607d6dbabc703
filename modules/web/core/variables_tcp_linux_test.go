package core_test

import (
	"regexp"
	"testing"

	"starling/web/webtest"
)

func TestTCPInfo(t *testing.T) {
	s := webtest.Start(t, modules, `server { say "<$tcpinfo_rtt|$tcpinfo_rttvar|$tcpinfo_snd_cwnd|$tcpinfo_rcv_space>"; }`)
	body := s.LoopbackClient().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n").Text
	if !regexp.MustCompile(`^<[1-9]\d*\|[1-9]\d*\|[1-9]\d*\|[1-9]\d*>$`).MatchString(body) {
		t.Errorf("got %s, want four numbers", body)
	}
	// A connection that is not TCP has none of them.
	if body := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n").Text; body != "<|||>" {
		t.Errorf("got %s, want no value", body)
	}
}
