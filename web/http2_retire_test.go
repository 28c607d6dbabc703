package web_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// TestHTTP2LosesNothingAtAReload: Go's client asks all the time while one site takes the place of another. Connections
// are at every stage when their site retires. (Bodies can be sent a second time: where GOAWAY meets a request that has
// chosen its connection and was not sent yet, the client has closed its body already.)
func TestHTTP2LosesNothingAtAReload(t *testing.T) {
	const reloads, clients = 100, 4
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprintf("sealed %t", sealed), func(t *testing.T) {
			modules := []*web.Module{&core.Module, probe(nil), tlsProbe(t)}
			load := func() *webtest.Server {
				listen := "listen 80;"
				if sealed {
					listen = "listen 443 ssl; certificate a;"
				}
				return webtest.Start(t, modules, `http2 on; server { `+listen+` location / { say ok; } location /read { read; } }`)
			}
			var present atomic.Pointer[webtest.Server]
			present.Store(load())
			var work sync.WaitGroup
			ended, stop := context.WithCancel(t.Context())
			for i := range clients {
				transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
					DialContext: func(context.Context, string, string) (net.Conn, error) { return present.Load().DialLoopback(), nil }}
				transport.Protocols.SetHTTP2(sealed)
				transport.Protocols.SetUnencryptedHTTP2(!sealed)
				for range clients {
					work.Go(func() {
						for n := i; ended.Err() == nil; n++ {
							if err := askOnce(transport, sealed, n%2 == 0); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				defer transport.CloseIdleConnections()
			}
			for range reloads {
				old := present.Swap(load())
				old.Site.Retire()
				<-old.Site.Drained()
			}
			stop()
			work.Wait()
		})
	}
}

// askOnce sends a GET or a POST.
func askOnce(transport *http.Transport, sealed, post bool) error {
	method, url, body := "GET", "http://a/", io.Reader(nil)
	if post {
		method, url, body = "POST", "http://a/read", strings.NewReader("ok")
	}
	if sealed {
		url = strings.Replace(url, "http:", "https:", 1)
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(text) != "ok" {
		return fmt.Errorf("%s: %d %q %v", method, response.StatusCode, text, err)
	}
	return nil
}

// TestRetireDoesNotWaitForSilentClients: those that were just accepted hold a retired site for a moment only, whatever
// they were to say first and however far they got. The site hears of some when it has retired already.
func TestRetireDoesNotWaitForSilentClients(t *testing.T) {
	const most = 10 * time.Second // twice the time for a first request
	for _, listen := range []string{"listen 80;", "listen 80; http2 on;", "listen 80 proxy_protocol;", "listen 80 ssl; certificate a;",
		"listen 80 ssl proxy_protocol; certificate a; http2 on;"} {
		for _, says := range []string{
			"", "PROXY UNKNOWN\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		} {
			if says != "" && !strings.Contains(listen, "http2 on") {
				continue
			}
			t.Run(fmt.Sprintf("%s %q", listen, says), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := webtest.Start(t, []*web.Module{&core.Module, probe(nil), tlsProbe(t)}, `server { say ok; `+listen+` }`)
					port := s.Site.Ports()[0]
					arrive := func(conn net.Conn) {
						go io.WriteString(conn, says) // ends early if the server closes early
						go io.Copy(io.Discard, conn)
					}
					arrive(s.Dial())
					synctest.Wait()
					port.Expect()
					began := time.Now()
					s.Site.Retire()
					near, far := net.Pipe()
					go port.ServeExpected(far)
					arrive(near)
					<-s.Site.Drained()
					if took := time.Since(began); took > most {
						t.Errorf("drained after %v", took)
					}
					near.Close()
				})
			})
		}
	}
}
