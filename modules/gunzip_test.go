package modules_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/gunzip"
	packer "starling/modules/web/gzip"
	"starling/modules/web/proxy"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

var gunzipFamilies = []*web.Module{&core.Module, &upstream.Module, &proxy.Module, &gunzip.Module, &packer.Module}

var gunzipText = strings.Repeat("hello, world; ", 5000)

func gzipped(texts ...string) string {
	var b bytes.Buffer
	for _, one := range texts {
		w := gzip.NewWriter(&b)
		w.Write([]byte(one))
		w.Close()
	}
	return b.String()
}

// startGunzip starts a proxy before a server that sends one body in pieces.
func startGunzip(t *testing.T, head, body string, pieceBytes int) *webtest.Server {
	backend := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n", head, len(body)))
		for rest := body; rest != ""; rest = rest[min(pieceBytes, len(rest)):] {
			p.Say(rest[:min(pieceBytes, len(rest))])
		}
	})
	return backend.Proxied(gunzipFamilies, "gunzip on; gzip_vary on;")
}

const gzippedHead = "Content-Encoding: gzip\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n"

func getGunzip(s *webtest.Server, headers string) webtest.Response {
	return s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n")
}

func TestGunzip(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
		pieceBytes int
	}{
		"at once":       {gzipped(gunzipText), gunzipText, 1 << 20},
		"in pieces":     {gzipped(gunzipText), gunzipText, 7},
		"byte by byte":  {gzipped("short"), "short", 1},
		"two members":   {gzipped("one", "two"), "onetwo", 5},
		"nothing in it": {gzipped(""), "", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := startGunzip(t, gzippedHead, c.body, c.pieceBytes)
			got := getGunzip(s, "")
			if got.Text != c.want {
				t.Errorf("got %d bytes %.40q, want %d", len(got.Text), got.Text, len(c.want))
			}
			h := got.Header
			if h.Get("Content-Encoding") != "" || h.Get("ETag") != `W/"a"` || h.Get("Accept-Ranges") != "" || len(h.Values("Vary")) != 1 {
				t.Errorf("head: %v", h)
			}
			if got := getGunzip(s, "Accept-Encoding: gzip\r\n"); got.Text != c.body || got.Header.Get("ETag") != `"a"` || len(got.Header.Values("Vary")) != 1 {
				t.Errorf("a client that accepts gzip got %.20q with %v", got.Text, got.Header)
			}
		})
	}
	if got := getGunzip(startGunzip(t, "ETag: \"a\"\r\n", "plain", 9), ""); got.Text != "plain" || got.Header.Get("ETag") != `"a"` || got.Header.Get("Vary") != "" {
		t.Errorf("a response without coding: %q with %v", got.Text, got.Header)
	}
}

func TestGunzipOfDamagedResponses(t *testing.T) {
	good := gzipped(gunzipText)
	for name, body := range map[string]string{
		"not gzip":       "plain text",
		"cut":            good[:len(good)-20],
		"wrong checksum": good[:len(good)-8] + "12345678",
		"rubbish behind": good + "rubbish",
	} {
		t.Run(name, func(t *testing.T) {
			s := startGunzip(t, gzippedHead, body, 100)
			got := s.Get("/")
			if strings.HasSuffix(got, "\r\n0\r\n\r\n") {
				t.Errorf("the client takes the response for complete: …%q", got[max(0, len(got)-40):])
			}
			s.Logged("response with Content-Encoding gzip cannot be decompressed")
		})
	}
}
