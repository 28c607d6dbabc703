package proxy_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/modules/stream/proxy"
	"starling/plan"
	"starling/stream"
	"starling/stream/streamtest"
	"starling/upstream"
	"starling/upstream/groups"
	"starling/vars"
)

// patience bounds each wait.
const patience = time.Minute

// recorder is a family for these tests: $none is empty, and `record <text>` sends a text with variables to a channel
// when a session is logged.
type recorder struct {
	text vars.Template[*stream.Session]
}

func recording(to chan<- string) *stream.Module {
	return &stream.Module{
		Module: conf.Module{Name: "record", New: conf.NewOf[recorder], Clone: conf.CloneOf[recorder], Directives: []conf.Directive{{
			Name: "record", Syntax: "<text>", In: conf.Stream | conf.StreamServer, Repeat: true,
			Set: conf.Raw(func(s *recorder, a *conf.Args) (err error) {
				s.text, err = stream.Side.Compile(a, a.Words[0])
				return err
			}),
		}}},
		Variables: []vars.Variable[*stream.Session]{{Name: "none", Append: func(_ *stream.Session, _ string, dst []byte) ([]byte, bool) { return dst, true }}},
		Handlers: []stream.Hook{{Phase: stream.Log, Build: func(b *stream.Block) (stream.Handler, error) {
			s := conf.SettingsOf[recorder](b.Scope)
			return func(session *stream.Session) stream.Result {
				to <- string(s.text.Append(nil, session))
				return stream.Declined
			}, nil
		}}},
	}
}

// block are the settings of an upstream block.
type block struct {
	servers []upstream.Settings
	zone    string
}

// upstreamBlocks is a family for these tests: upstream blocks with servers at addresses, some of them down, and a zone.
func upstreamBlocks() *stream.Module {
	return &stream.Module{
		Module: conf.Module{Name: "upstream", New: conf.NewOf[block], Clone: conf.CloneOf[block], Directives: []conf.Directive{
			{
				Name: "upstream", Syntax: "<name>", In: conf.Stream, Opens: conf.StreamUpstream, Repeat: true,
				Set: groups.Declare[*stream.Session],
			}, {
				Name: "server", Syntax: "<address> [down]", In: conf.StreamUpstream, Repeat: true,
				Set: conf.Raw(func(b *block, a *conf.Args) error {
					address, err := netip.ParseAddrPort(a.Words[0])
					one := upstream.NewSettings(a.Words[0], upstream.TCP(address))
					one.Down = a.Has("down")
					b.servers = append(b.servers, one)
					return err
				}),
			}, {
				Name: "zone", Syntax: "<name> <size>", In: conf.StreamUpstream,
				Set: conf.Raw(func(b *block, a *conf.Args) error {
					b.zone = a.Words[0]
					return nil
				}),
			},
		}},
		Link: func(p *plan.Plan) error {
			for _, g := range groups.Of[*stream.Session](p).All() {
				if !g.Declared {
					continue
				}
				b := conf.SettingsOf[block](g.Scope)
				g.ZoneName = b.zone
				for _, one := range b.servers {
					if _, err := g.Add(one, p.Clock.Now()); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// running is a proxy under test.
type running struct {
	*streamtest.Server
	t        *testing.T
	recorded chan string
}

// start serves a stream block; it may name one backend by ADDRESS.
func start(t *testing.T, block, address string) *running {
	t.Helper()
	return startWith(t, block, address, nil)
}

func startWith(t *testing.T, block, address string, files streamtest.Files) *running {
	t.Helper()
	recorded := make(chan string, 100)
	text := "stream { record $status; " + strings.ReplaceAll(block, "ADDRESS", address) + " }"
	return &running{streamtest.Start(t, text, files, &core.Module, upstreamBlocks(), &proxy.Module, recording(recorded)), t, recorded}
}

// next is what was recorded of the session that was logged next.
func (r *running) next() string {
	r.t.Helper()
	select {
	case text := <-r.recorded:
		return text
	case <-time.After(patience):
		r.t.Fatal("no session ended")
		return ""
	}
}

// logged tells whether the error log has a line with each of the texts.
func (r *running) logged(texts ...string) {
	r.t.Helper()
	lines := strings.Join(r.Log.Lines(), "\n")
	for _, text := range texts {
		if !strings.Contains(lines, text) {
			r.t.Errorf("no %q in\n%s", text, lines)
		}
	}
}

// backend is a TCP server that serves each connection with a function.
func backend(t *testing.T, serve func(conn *net.TCPConn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

// echo says what it hears.
func echo(conn *net.TCPConn) { io.Copy(conn, conn) }

// deadPort is an address on which nobody listens.
func deadPort(t *testing.T) string {
	t.Helper()
	return testkit.FreeAddress(t)
}

// ask sends a text and reads as many bytes as it has.
func ask(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(conn, buf); err != nil {
		t.Fatal(err)
	}
	return string(buf)
}
