package modules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/modules/web/ssi"
	"starling/modules/web/static"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

// startParts serves pages with parts from a backend that answers a request only once the requests of all parts are there,
// the last part first. The response of a part is its name, repeated.
func startParts(t *testing.T, pages map[string]string, parts, repeats int) *webtest.Server {
	var together sync.WaitGroup
	together.Add(parts)
	early := make(chan struct{}, parts)
	for range parts {
		early <- struct{}{}
	}
	b := webtest.Serve(t, func(p *webtest.Peer) {
		path := strings.Fields(p.Head())[1]
		select {
		case <-early:
			together.Done()
		default: // one that comes after them
		}
		together.Wait()
		p.Say("HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat(filepath.Base(path), repeats))
	})
	dir := t.TempDir()
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return webtest.Start(t, []*web.Module{&core.Module, &upstream.Module, &proxy.Module, &ssi.Module, &static.Module},
		fmt.Sprintf("server { root %s; ssi on; location /p/ { proxy_pass http://%s; } }", dir, b.Addr))
}

// Parts that wait for servers are made at once, and sent in their order, also if one is larger than what is kept of it.
func TestSSIPartsInParallel(t *testing.T) {
	const repeats = 100 << 10
	a, b, c := strings.Repeat("a", repeats), strings.Repeat("b", repeats), strings.Repeat("c", repeats)
	tests := []struct {
		name  string
		pages map[string]string
		parts int
		want  string
	}{
		{"two", map[string]string{"page.html": `1<!--#include virtual="/p/a"-->2<!--#include virtual="/p/b" wait="no"-->3`}, 2, "1" + a + "2" + b + "3"},
		{"in a part", map[string]string{
			"page.html": `1<!--#include virtual="/part.html"-->2<!--#include virtual="/p/c"-->3`,
			"part.html": `(<!--#include virtual="/p/a"-->,<!--#include virtual="/p/b"-->)`,
		}, 3, "1(" + a + "," + b + ")2" + c + "3"},
		{"a block in place of an empty one", map[string]string{
			"page.html": `<!--#block name="x"-->{<!--#include virtual="/p/c"-->}<!--#endblock-->` +
				`<!--#include virtual="/p/a"-->1<!--#include virtual="/none" stub="x"-->2<!--#include virtual="/p/b"-->3`,
		}, 2, a + "1{" + c + "}2" + b + "3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := startParts(t, test.pages, test.parts, repeats)
			if got := ssiPage(s, "/page.html"); got != test.want {
				t.Errorf("got %d bytes that begin with %.20q, want %d", len(got), got, len(test.want))
			}
		})
	}
}

// Commands do not see what parts before them set, unless they wait for it; the parts see what the page has set, and one
// part what the one before has set, if neither waits for a server. It is the same each time.
func TestSSIPartsThatNeedNotWait(t *testing.T) {
	for page, want := range map[string]string{
		`<!--#include virtual="/sets.html"--><!--#echo var="x"-->`:                                         "(none)",
		`<!--#include virtual="/sets.html" wait="yes"--><!--#echo var="x"-->`:                              "new",
		`<!--#include virtual="/sets.html"-->[<!--#include virtual="/echo.html"-->]`:                       "[new]",
		`<!--#include virtual="/echo.html"--><!--#set var="x" value="page"--><!--#echo var="x"-->`:         "pagepage",
		`<!--#include virtual="/echo.html" wait="yes"--><!--#set var="x" value="p"--><!--#echo var="x"-->`: "(none)p",
	} {
		s := startSSI(t, map[string]string{"page.html": page, "echo.html": `<!--#echo var="x"-->`,
			"sets.html": `<!--#set var="x" value="new"-->`}, "")
		for range 5 {
			if got := ssiPage(s, "/page.html"); got != want {
				t.Errorf("%s: got %q, want %q", page, got, want)
			}
		}
	}
}

// More parts than are made at once are made in turn.
func TestSSIManyParts(t *testing.T) {
	var page, want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&page, `<!--#include virtual="/p/%d"-->,`, i)
		fmt.Fprintf(&want, "%d,", i)
	}
	s := startParts(t, map[string]string{"page.html": page.String()}, 0, 1)
	if got := ssiPage(s, "/page.html"); got != want.String() {
		t.Errorf("got %q", got)
	}
}

// A client that leaves while parts wait for their turn ends them all.
func TestSSIPartsOfClientsThatLeave(t *testing.T) {
	reached := make(chan struct{}, 2)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		path := strings.Fields(p.Head())[1]
		if path == "/p/b" {
			p.Say("HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("b", 1<<20))
		}
		reached <- struct{}{}
		<-p.T.Context().Done() // /p/a never responds
	})
	dir := t.TempDir()
	page := `<!--#include virtual="/p/a"--><!--#include virtual="/p/b"-->`
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &upstream.Module, &proxy.Module, &ssi.Module, &static.Module},
		fmt.Sprintf("server { root %s; ssi on; location /p/ { proxy_pass http://%s; } }", dir, b.Addr))
	conn := s.DialLoopback()
	fmt.Fprint(conn, "GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n")
	webtest.Receive(t, reached)
	webtest.Receive(t, reached)
	conn.Close()
	s.AwaitLog("client prematurely closed connection")
}
