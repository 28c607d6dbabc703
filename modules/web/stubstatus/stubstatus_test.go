package stubstatus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/stubstatus"
	"starling/web"
	"starling/web/webtest"
)

const config = `server { location / { say "$connections_active $connections_reading $connections_writing $connections_waiting"; }
	location /status { stub_status; stub_status on; location /status/inner { } } }`

func TestPage(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &stubstatus.Module, webtest.Say()}, config)
	page := func() string { _, body, _ := strings.Cut(s.Get("/status"), "\r\n\r\n"); return body }
	if got, want := page(), "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \nReading: 0 Writing: 1 Waiting: 0 \n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// A connection without a request waits, one with half a request is being read.
	idle, half := s.Client(), s.Client()
	half.Write("GET / HT")
	testkit.Eventually(t, time.Minute, func() error {
		if got := page(); !strings.HasPrefix(got, "Active connections: 3 ") || !strings.HasSuffix(got, "Reading: 1 Writing: 1 Waiting: 1 \n") {
			return errors.New(got)
		}
		return nil
	})
	if got := idle.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); got.Text != "2 1 1 0" && got.Text != "3 1 1 0" {
		t.Errorf("variables: %s", got.Text)
	}
}

func TestOnlyGetAndHeadAndNotBelow(t *testing.T) {
	s := webtest.Start(
		t,
		[]*web.Module{&core.Module, &stubstatus.Module},
		config[:strings.Index(config, "location / ")]+config[strings.Index(config, "location /status {"):],
	)
	if got := s.Send("POST /status HTTP/1.0\r\n\r\n"); !strings.Contains(got, "405 Not Allowed") {
		t.Error(got)
	}
	if got := s.Send("HEAD /status HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Error(got)
	}
	if got := s.Get("/status/inner"); !strings.Contains(got, "404 Not Found") {
		t.Error(got)
	}
}
