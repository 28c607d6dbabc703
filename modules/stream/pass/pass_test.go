package pass_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/stream/core"
	"starling/modules/stream/pass"
	"starling/side"
	"starling/stream"
	"starling/stream/streamtest"
)

func start(t *testing.T, text string) *streamtest.Server {
	t.Helper()
	return streamtest.Start(t, text, nil, &core.Module, &pass.Module, streamtest.Say())
}

func TestPass(t *testing.T) {
	s := start(t, `stream {
		server { listen 127.0.0.1:1; pass 127.0.0.1:9; }
		server { listen 127.0.0.1:2; pass 127.0.0.1:8; }
		server { listen 127.0.0.1:3; pass 127.0.0.1:3; }
		server { listen 127.0.0.1:4; pass 127.0.0.1$bytes_sent; }
		server { listen 127.0.0.1:5; pass "nowhere:$bytes_sent"; }
		server { listen 127.0.0.1:9; say "passed on from $remote_addr"; }
	}`)
	for n, c := range []struct{ want, log string }{
		{"passed on from 127.0.0.1", ""},
		{"", `port not found for "127.0.0.1:8" while passing connection to port`},
		{"", "stream pass cycle while passing connection to port"},
		{"", `no port in pass "127.0.0.10"`},
		{"", `invalid port in pass "nowhere:0"`},
	} {
		if got := s.Ask(n); got != c.want {
			t.Errorf("%d: got %q, want %q", n, got, c.want)
		}
		if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, c.log) {
			t.Errorf("%d: no %q in\n%s", n, c.log, lines)
		}
	}
}

// looking is a family for this test: `look` looks at five bytes before the session is served, `repeat` says them back.
type looking struct{ look, repeat bool }

func lookModule() *stream.Module {
	on := func(name string, place func(*looking) *bool) conf.Directive {
		return conf.Directive{Name: name, In: conf.StreamServer, Set: conf.Raw(func(s *looking, _ *conf.Args) error {
			*place(s) = true
			return nil
		})}
	}
	return &stream.Module{
		Module: conf.Module{Name: "look", New: conf.NewOf[looking], Clone: conf.CloneOf[looking], Directives: []conf.Directive{
			on("look", func(s *looking) *bool { return &s.look }), on("repeat", func(s *looking) *bool { return &s.repeat })}},
		Handlers: []stream.Hook{
			{Phase: stream.Preread, Build: func(b *stream.Block) (stream.Handler, error) {
				if !conf.SettingsOf[looking](b.Scope).look {
					return nil, nil
				}
				return func(s *stream.Session) stream.Result {
					if len(s.Preread()) < 5 {
						return stream.Again
					}
					return stream.Declined
				}, nil
			}},
			{Phase: stream.Content, Build: func(b *stream.Block) (stream.Handler, error) {
				if !conf.SettingsOf[looking](b.Scope).repeat {
					return nil, nil
				}
				return func(s *stream.Session) stream.Result {
					if _, err := io.CopyN(s.Conn, s.Conn, 5); err != nil {
						return stream.StatusInternalError
					}
					return stream.Done
				}, nil
			}},
		},
	}
}

// TestAFenceIsPassedOn: a server that gets a connection within a fence is in it, and has the socket itself, so that its
// options can be set and the kernel can move the bytes.
func TestAFenceIsPassedOn(t *testing.T) {
	fences := make(chan *side.Fence, 2)
	module := &stream.Module{
		Module: conf.Module{Name: "fence", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: func(*stream.Block) (stream.Handler, error) {
			return func(s *stream.Session) stream.Result {
				if s.Socket() == nil {
					t.Error("the session has no socket")
				}
				if s.Fence() == nil {
					s.Enclose()
				}
				fences <- s.Fence()
				return stream.Declined
			}, nil
		}}},
	}
	s := streamtest.Start(t, `stream {
		server { listen 127.0.0.1:1; pass 127.0.0.1:9; }
		server { listen 127.0.0.1:9; say passed; }
	}`, nil, &core.Module, &pass.Module, streamtest.Say(), module)
	if got := s.Ask(0); got != "passed" {
		t.Fatalf("got %q", got)
	}
	if first, second := <-fences, <-fences; first != second {
		t.Error("the second server is not in the fence of the first")
	}
}

// TestNothingIsLostByLooking passes a connection that was looked at: the next server reads it from the start.
func TestNothingIsLostByLooking(t *testing.T) {
	s := streamtest.Start(t, `stream {
		server { listen 127.0.0.1:1; look; pass 127.0.0.1:9; }
		server { listen 127.0.0.1:9; look; repeat; }
	}`, nil, &core.Module, &pass.Module, lookModule())
	conn := s.Dial(0)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestProblems(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1":   `no port in "127.0.0.1" of the "pass" directive`,
		"127.0.0.1:0": `invalid port in "127.0.0.1:0" of the "pass" directive`,
	} {
		got := streamtest.Problem(t, fmt.Sprintf("stream { server { listen 1; pass %s; } }", address), &core.Module, &pass.Module)
		if got != want+" in /test.conf:1" {
			t.Errorf("%s: got %s", address, got)
		}
	}
}
