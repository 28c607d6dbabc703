package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"starling/lib/certs"
)

// overTLS compares requests over TLS connections that stay open, with the same certificate.
func (b *bench) overTLS() error {
	authority, err := certs.NewAuthority("bench")
	if err != nil {
		return err
	}
	cert, key, err := authority.Issue("bench")
	if err != nil {
		return err
	}
	certPath, keyPath := filepath.Join(b.dir, "bench.crt"), filepath.Join(b.dir, "bench.key")
	if err := os.WriteFile(certPath, cert, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(keyPath, key, 0o600); err != nil {
		return err
	}
	d := duel{
		bodyBytes:  1 << 10,
		listen:     "ssl",
		serverLine: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", certPath, keyPath),
	}
	// The answering server does not matter here: only the cost of the records does.
	d.load = load{request: same("/"), tls: &tls.Config{InsecureSkipVerify: true}}
	return b.fight("proxied request 1 KB over TLS, CPU us", d)
}

// bodies compares answers of 1 MB.
func (b *bench) bodies() error {
	d := plain()
	d.bodyBytes = 1 << 20
	return b.fight("proxied answer of 1 MB, CPU us", d)
}

// http2 compares requests over HTTP/2 in clear.
func (b *bench) http2() error {
	return b.fight(
		"proxied request 1 KB over HTTP/2, CPU us",
		duel{bodyBytes: 1 << 10, listen: "http2", drive: overHTTP2},
	)
}

// streamsPerConnection are the requests in flight on each of the connections of HTTP/2.
const streamsPerConnection = 8

// overHTTP2 sends for d over connections of HTTP/2 without TLS and returns how many requests were answered.
func overHTTP2(address string, d time.Duration) (int64, error) {
	var (
		done  atomic.Int64
		group sync.WaitGroup
		fail  atomic.Pointer[error]
	)
	ctx, cancel := context.WithTimeout(context.Background(), d+10*time.Second) // a server that hangs ends the run
	defer cancel()
	end := time.Now().Add(d)
	for range connections / streamsPerConnection {
		t := &http.Transport{MaxConnsPerHost: 1, Protocols: new(http.Protocols)}
		t.Protocols.SetUnencryptedHTTP2(true)
		defer t.CloseIdleConnections()
		for range streamsPerConnection {
			group.Go(func() {
				for time.Now().Before(end) {
					if err := overStream(ctx, t, address); err != nil {
						fail.CompareAndSwap(nil, &err)
						return
					}
					done.Add(1)
				}
			})
		}
	}
	group.Wait()
	if err := fail.Load(); err != nil {
		return done.Load(), *err
	}
	return done.Load(), nil
}

func overStream(ctx context.Context, t *http.Transport, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := t.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != 200 {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return nil
}
