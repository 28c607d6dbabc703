package limitconn_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/conncount"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/modules/stream/limitconn"
	"starling/stream/streamtest"
)

func figures(t *testing.T, s *streamtest.Server) conncount.Figures {
	t.Helper()
	for _, r := range s.Site.Resources() {
		answer := r.Handle(&admin.Call{Method: "GET", Tail: []string{"one"}})
		if f, ok := answer.Body.(conncount.Figures); ok && r.Path == "stream/limit_conns" {
			return f
		}
	}
	t.Fatal("no /stream/limit_conns/one")
	return conncount.Figures{}
}

func TestOneTooMany(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone $binary_remote_addr zone=one:32k;
		server { listen 1; limit_conn one 2; say $limit_conn_status hold; } }`, nil, &core.Module, &limitconn.Module, streamtest.Say())
	var in []io.Closer
	for range 2 {
		conn := s.Dial(0)
		buf := make([]byte, len("PASSED"))
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "PASSED" {
			t.Fatalf("%q, %v", buf, err)
		}
		in = append(in, conn)
	}
	if got := s.Ask(0); got != "" {
		t.Errorf("the third got %q", got)
	}
	if !slices.ContainsFunc(s.Log.Lines(), func(l string) bool {
		return l == `[error] *3 limiting connections by zone "one", client: 127.0.0.1, server: 0.0.0.0:1`
	}) {
		t.Error("the rejection was not logged")
	}
	in[0].Close()
	testkit.Eventually(t, time.Minute, func() error {
		conn := s.Dial(0)
		defer conn.Close()
		if n, err := conn.Read(make([]byte, 1)); n == 0 {
			return errors.Join(errors.New("the place of the one that left is not free"), err)
		}
		return nil
	})
	if f := figures(t, s); f.Passed != 3 || f.Rejected < 1 {
		t.Errorf("%+v", f)
	}
}

func TestDryRun(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone $server_port zone=one:32k;
		server { listen 1; limit_conn one 1; limit_conn_dry_run on; limit_conn_log_level notice; say "$limit_conn_status " hold; } }`,
		nil, &core.Module, &limitconn.Module, streamtest.Say())
	for _, want := range []string{"PASSED ", "REJECTED_DRY_RUN "} {
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(s.Dial(0), buf); err != nil || string(buf) != want {
			t.Errorf("got %q, %v; want %q", buf, err, want)
		}
	}
	if lines := s.Log.Lines(); !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, `[notice] *2 limiting connections, dry run, by zone "one"`)
	}) {
		t.Errorf("not logged: %q", lines)
	}
}

func TestAnEmptyKeyIsNotCounted(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone $limit_conn_status zone=one:32k;
		server { listen 1; limit_conn one 1; say "-$limit_conn_status-" hold; } }`, nil, &core.Module, &limitconn.Module, streamtest.Say())
	for range 2 {
		buf := make([]byte, 2)
		if _, err := io.ReadFull(s.Dial(0), buf); err != nil || string(buf) != "--" {
			t.Errorf("%q, %v", buf, err)
		}
	}
}

// TestALongKeyIsCounted: nobody gets past a limit by a key that is too long to be kept.
func TestALongKeyIsCounted(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone `+strings.Repeat("x", 300)+`$remote_addr zone=one:32k;
		server { listen 1; limit_conn one 1; limit_conn_dry_run on; say "$limit_conn_status " hold; } }`, nil, &core.Module, &limitconn.Module, streamtest.Say())
	for _, want := range []string{"PASSED ", "REJECTED_DRY_RUN "} {
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(s.Dial(0), buf); err != nil || string(buf) != want {
			t.Errorf("got %q, %v; want %q", buf, err, want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"limit_conn_zone $pid zone=a:16k;", `zone "zone=a:16k" is too small in /test.conf:1`},
		{"limit_conn_zone $pid zone=a;", `invalid zone size "zone=a" in /test.conf:1`},
		{"limit_conn_zone $pid zone=a:1m; limit_conn_zone $hostname zone=a:1m;", `limit_conn_zone "a" is already bound to key "$pid" in /test.conf:1`},
		{"limit_conn a 1;", `zero size shared memory zone "a" in /test.conf:1`},
		{"limit_conn a 0;", `invalid number of connections "0" in /test.conf:1`},
		{"limit_conn a 65536;", `connection limit must be less 65536 in /test.conf:1`},
		{"limit_conn a 1; limit_conn a 2;", `"limit_conn" directive is duplicate in /test.conf:1`},
	} {
		conf := fmt.Sprintf("stream { %s server { listen 1; say x; } }", c.text)
		if got := streamtest.Problem(t, conf, &core.Module, &limitconn.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// A zone with sync limits and frees like another one.
func TestASharedZone(t *testing.T) {
	s := streamtest.Start(t, `stream { limit_conn_zone $binary_remote_addr zone=one:32k sync;
		server { listen 1; limit_conn one 1; say $limit_conn_status hold; } }`, nil, &core.Module, &limitconn.Module, streamtest.Say())
	first := s.Dial(0)
	if _, err := io.ReadFull(first, make([]byte, len("PASSED"))); err != nil {
		t.Fatal(err)
	}
	if got := s.Ask(0); got != "" {
		t.Errorf("the second got %q", got)
	}
	first.Close()
	testkit.Eventually(t, time.Minute, func() error {
		conn := s.Dial(0)
		defer conn.Close()
		if n, err := conn.Read(make([]byte, 1)); n == 0 {
			return errors.Join(errors.New("the place of the one that left is not free"), err)
		}
		return nil
	})
	if f := figures(t, s); f.Passed != 2 || f.Rejected < 1 {
		t.Errorf("%+v", f)
	}
}
