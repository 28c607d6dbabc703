package sub

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// pieces is a module that answers with its words, one piece each, flushed.
func pieces() *web.Module {
	type settings struct{ words []string }
	return &web.Module{
		Module: conf.Module{Name: "pieces", New: conf.NewOf[settings], Clone: conf.CloneOf[settings], Directives: []conf.Directive{{
			Name: "pieces", Syntax: "<type> <text>...", In: conf.Server | conf.Location,
			Set: conf.Raw(func(s *settings, a *conf.Args) error { s.words = a.Words; return nil }),
		}}},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			s := conf.SettingsOf[settings](b.Scope)
			if s.words == nil {
				return nil, nil
			}
			return func(r *web.Request) web.Result {
				r.Out.ContentType = []byte(s.words[0])
				r.Out.LastModified = []byte("Mon, 28 Sep 1970 06:00:00 GMT")
				r.AddHeader([]byte("ETag"), []byte(`"x"`))
				for _, w := range s.words[1:] {
					if _, err := r.Write([]byte(w)); err != nil || r.Flush() != nil {
						return web.Done
					}
				}
				return web.Done
			}, nil
		}}},
	}
}

func start(t testing.TB, text string) *webtest.Server {
	t.Helper()
	return webtest.Start(t, []*web.Module{&core.Module, &Module, pieces()}, text)
}

func TestReplacement(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"once", `sub_filter a X; pieces text/html "banana";`, "bXnana"},
		{"everywhere", `sub_filter a X; sub_filter_once off; pieces text/html "banana";`, "bXnXnX"},
		{"case", `sub_filter NaN x; pieces text/html "baNaNa";`, "baNaNa"[:2] + "xa"},
		{"over pieces", `sub_filter banana X; sub_filter_once off; pieces text/html "1ba" "n" "ana2banan" "a";`, "1X2X"},
		{"a beginning that comes to nothing", `sub_filter aab X; pieces text/html "aa" "aa" "b";`, "aaX"},
		{"the end of the body", `sub_filter abc X; pieces text/html "xab";`, "xab"},
		{"the first that begins", `sub_filter bc 1; sub_filter abcd 2; sub_filter_once off; pieces text/html "abcd bc";`, "2 1"},
		{"the first that is declared", `sub_filter ab 1; sub_filter abc 2; sub_filter_once off; pieces text/html "abc";`, "1c"},
		{"the first declared may yet come", `sub_filter abcd 1; sub_filter ab 2; sub_filter_once off; pieces text/html "ab" "ce" "ab" "cd";`, "2ce1"},
		{"each once", `sub_filter a 1; sub_filter b 2; pieces text/html "abab" "ab";`, "12abab"},
		{"nothing in its place", `sub_filter abc ""; sub_filter_once off; pieces text/html "xabcyabc";`, "xy"},
		{"variables", `sub_filter $arg_a "<$arg_b$uri>"; pieces text/html "one two";`, "one <2/>"},
		{"an empty variable finds nothing", `sub_filter "$arg_none" X; sub_filter one 1; pieces text/html "one two";`, "1 two"},
		{"other types", `sub_filter a X; pieces text/plain "banana";`, "banana"},
		{"more types", `sub_filter a X; sub_filter_types text/plain; pieces "text/plain; charset=x" "banana";`, "bXnana"},
		{"all types", `sub_filter a X; sub_filter_types *; pieces a/b "banana";`, "bXnana"},
	} {
		s := start(t, "server { "+c.text+" }")
		r := s.Client().Do("GET /?a=two&b=2 HTTP/1.1\r\nHost: a\r\n\r\n")
		if r.Text != c.want || r.StatusCode != 200 {
			t.Errorf("%s: got %d %q, want %q", c.name, r.StatusCode, r.Text, c.want)
		}
		touched := c.name != "other types"
		if r.Header.Get("Last-Modified") == "" != touched || r.Header.Get("ETag") == "" != touched {
			t.Errorf("%s: the validators are %q %q", c.name, r.Header.Get("Last-Modified"), r.Header.Get("ETag"))
		}
	}
}

func TestLastModifiedStays(t *testing.T) {
	s := start(t, `server { sub_filter a X; sub_filter_last_modified on; pieces text/html "a"; }`)
	if r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Header.Get("Last-Modified") == "" || r.Header.Get("ETag") != `W/"x"` {
		t.Errorf("%q %q", r.Header.Get("Last-Modified"), r.Header.Get("ETag"))
	}
}

// TestPiecesDoNotMatter compares with a search in the whole, however it is cut.
func TestPiecesDoNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ab"[random.IntN(2)])
		}
		return b.String()
	}
	for range 2000 {
		var list [][]byte
		for range 1 + random.IntN(3) {
			list = append(list, []byte(letters(1+random.IntN(5))))
		}
		m, done, text := newMatcher(list), make([]bool, len(list)), []byte(letters(random.IntN(40)))
		var whole, cut []int
		for rest := text; ; {
			i, at := m.find(rest, true, done)
			if i == nothing {
				break
			}
			whole = append(whole, len(text)-len(rest)+at, i)
			rest = rest[at+len(list[i]):]
		}
		var held []byte
		for at := 0; at <= len(text); {
			n := min(1+random.IntN(4), len(text)-at)
			last := at+n == len(text)
			held = append(held, text[at:at+n]...)
			at += n
			for {
				i, found := m.find(held, last, done)
				if i == nothing {
					held = bytes.Clone(held[found:])
					break
				}
				cut = append(cut, at-len(held)+found, i)
				held = bytes.Clone(held[found+len(list[i]):])
			}
			if last {
				break
			}
		}
		if string(intBytes(whole)) != string(intBytes(cut)) {
			t.Fatalf("%q in %q: whole %v, in pieces %v", list, text, whole, cut)
		}
	}
}

func intBytes(list []int) (b []byte) {
	for _, n := range list {
		b = append(b, byte(n))
	}
	return b
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`sub_filter "" x;`:       `empty search pattern`,
		`sub_filter a;`:          `invalid number of arguments in "sub_filter" directive`,
		`sub_filter a $nowhere;`: `unknown "nowhere" variable`,
		`sub_filter_once maybe;`: `invalid value "maybe" in "sub_filter_once" directive, it must be "on" or "off"`,
	} {
		_, err := webtest.Load(t, []*web.Module{&core.Module, &Module}, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestReplacementDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := start(t, `server { keepalive_requests 1000000; sub_filter_once off; sub_filter an "[$host]"; pieces text/html banana; }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); n > 5 { // those of the answering module of this test
		t.Errorf("%v allocations", n)
	}
}
