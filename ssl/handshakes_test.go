package ssl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// nonzero are the figures that are not 0: "handshakes:1 verify_failures.other:1".
func nonzero(t *testing.T, f HandshakeFigures) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(prefix string, object map[string]any)
	walk = func(prefix string, object map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			switch v := object[name].(type) {
			case float64:
				if v != 0 {
					out = append(out, prefix+name)
				}
			case map[string]any:
				walk(name+".", v)
			}
		}
	}
	walk("", all)
	return strings.Join(out, " ")
}

// counted counts the result of a handshake as a server or a client does.
func counted(t *testing.T, state tls.ConnectionState, err error) string {
	t.Helper()
	h := NewHandshakes()
	if err != nil {
		h.Failed(err)
	} else {
		h.Done(state.DidResume)
	}
	return nonzero(t, h.Figures())
}

// Each failure of a real handshake is counted by its reason, at the side that names it.
func TestHandshakesFailForReasons(t *testing.T) {
	w := newWorld(t)
	late, key := w.root.leaf("server.example", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	w.files["late.crt"], w.files["late.key"] = certPEM(late), keyPEM(t, key)
	gone, key := w.root.leaf("server.example", func(c *x509.Certificate) { c.SerialNumber = big.NewInt(77) })
	w.files["gone.crt"], w.files["gone.key"] = certPEM(gone), keyPEM(t, key)
	w.files["crl.pem"] = w.root.revoke(now.Add(time.Hour), big.NewInt(77))
	with := func(certificate string) func(*ServerSettings) {
		return func(s *ServerSettings) {
			s.Certificates = []CertificateFile{{certificate + ".crt", certificate + ".key"}}
		}
	}
	verify := func(ca string) func(*ClientSettings) {
		return func(s *ClientSettings) { s.Verify, s.Trusted, s.CRL = true, []string{ca}, "crl.pem" }
	}
	for _, c := range []struct {
		name           string
		server         func(*ServerSettings)
		client         func(*ClientSettings)
		sni            string
		config         func(*tls.Config)
		want, wantElse string // at the server, at the client
	}{
		{"success", with("server"), verify("ca.crt"), "server.example", nil, "handshakes", "handshakes"},
		{"another name", with("server"), verify("ca.crt"), "other.example", nil,
			"handshakes_failed peer_rejected_cert", "handshakes_failed verify_failures.hostname_mismatch"},
		{"an unknown authority", with("server"), verify("other-ca.crt"), "server.example", nil,
			"handshakes_failed peer_rejected_cert", "handshakes_failed verify_failures.other"},
		{"expired", with("late"), verify("ca.crt"), "server.example", nil,
			"handshakes_failed peer_rejected_cert", "handshakes_failed verify_failures.expired_cert"},
		{"revoked", with("gone"), verify("ca.crt"), "server.example", nil,
			"handshakes_failed peer_rejected_cert", "handshakes_failed verify_failures.revoked_cert"},
		{"an old client", func(s *ServerSettings) { with("server")(s); s.Protocols = TLS13 }, func(*ClientSettings) {}, "",
			func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "handshakes_failed no_common_protocol", "handshakes_failed no_common_protocol"},
		{"an old server", func(s *ServerSettings) { with("server")(s); s.Protocols = TLS12 }, func(*ClientSettings) {}, "",
			func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, "handshakes_failed no_common_protocol", "handshakes_failed no_common_protocol"},
		{"other ciphers", func(s *ServerSettings) {
			with("server")(s)
			s.Protocols, s.Ciphers = TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256"
		}, func(*ClientSettings) {}, "", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		}, "handshakes_failed no_common_cipher", "handshakes_failed"},
	} {
		client := w.clientOf(t, c.client).Config(c.sni, c.sni != "").Clone()
		client.Time = time.Now
		if c.config != nil {
			c.config(client)
		}
		atClient, atServer, clientErr, serverErr := shake(t, client, w.server(t, c.server).Config)
		if got := counted(t, atServer, serverErr); got != c.want {
			t.Errorf("%s: the server counts %q, want %q (%v)", c.name, got, c.want, serverErr)
		}
		if got := counted(t, atClient, clientErr); got != c.wantElse {
			t.Errorf("%s: the client counts %q, want %q (%v)", c.name, got, c.wantElse, clientErr)
		}
	}
}

func TestOtherReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{os.ErrDeadlineExceeded, "handshake_timeout handshakes_failed"},
		{context.DeadlineExceeded, "handshake_timeout handshakes_failed"},
		{io.EOF, "handshakes_failed"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(80)}, "handshakes_failed"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(48)}, "handshakes_failed peer_rejected_cert"},
		{&net.OpError{Op: "read", Err: tls.AlertError(48)}, "handshakes_failed"},
		{&ClientError{Missing: true}, "handshakes_failed verify_failures.no_cert"},
		{&ClientError{Code: notYetValid}, "handshakes_failed verify_failures.expired_cert"},
		{&ClientError{Code: noIssuer}, "handshakes_failed verify_failures.other"},
	} {
		h := NewHandshakes()
		h.Failed(c.err)
		if got := nonzero(t, h.Figures()); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
		h.Reset()
		if got := nonzero(t, h.Figures()); got != "" {
			t.Errorf("%v: %q after a reset", c.err, got)
		}
	}
}

// A client that is refused after the handshake has made one that succeeded.
func TestUnverifiedClientsAreNoFailedHandshakes(t *testing.T) {
	h := NewHandshakes()
	h.Done(true)
	h.Unverified(nil)
	h.Unverified(&ClientError{Code: revoked})
	if got, want := nonzero(t, h.Figures()), "handshakes session_reuses verify_failures.revoked_cert"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// NGINX Plus shows a zone what concerns clients, and a server of a group what concerns servers.
func TestFiguresOfEachSide(t *testing.T) {
	f := NewHandshakes().Figures()
	for want, of := range map[string]HandshakeFigures{
		"cipher,nocert,hostname": f, "cipher,nocert": f.WithClients(), "hostname": f.WithServers(), "": (*Handshakes)(nil).Figures().WithClients().WithServers(),
	} {
		var got []string
		for name, there := range map[string]bool{"cipher": of.NoCommonCipher != nil, "nocert": of.VerifyFailures.NoCert != nil,
			"hostname": of.VerifyFailures.HostnameMismatch != nil} {
			if there {
				got = append(got, name)
			}
		}
		wanted := strings.FieldsFunc(want, func(r rune) bool { return r == ',' })
		slices.Sort(got)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("%v, want %v", got, wanted)
		}
	}
}

func TestHandshakesAreCountedAtTheSameTime(t *testing.T) {
	h := NewHandshakes()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 100 {
				h.Done(true)
				h.Failed(io.EOF)
			}
		})
	}
	wait.Wait()
	if f := h.Figures(); f.Handshakes != 800 || f.Failed != 800 || f.Reuses != 800 {
		t.Errorf("%+v", f)
	}
}

// Most listeners count nothing yet, and nil handshakes are those of nobody.
func TestNobodysHandshakes(t *testing.T) {
	var h *Handshakes
	h.Done(false)
	h.Failed(io.EOF)
	h.Unverified(io.EOF)
	if got := nonzero(t, h.Figures()); got != "" {
		t.Error(got)
	}
}
