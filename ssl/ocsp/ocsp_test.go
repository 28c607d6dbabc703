package ocsp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	library "golang.org/x/crypto/ocsp"

	"starling/ssl/ocsp"
)

// signer is a certificate with its key.
type signer struct {
	*x509.Certificate
	key crypto.Signer
}

func issue(t testing.TB, name string, by *signer, change func(*x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(7),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	change(template)
	s := &signer{template, key}
	if by == nil {
		by = s
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if s.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

func delegate(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }

func nothing(*x509.Certificate) {}

// answer makes one that signer signs; embed tells whether its certificate is part of it.
func answer(t testing.TB, issuer, by *signer, embed bool, change func(*library.Response)) []byte {
	t.Helper()
	template := library.Response{
		SerialNumber: big.NewInt(7), Status: library.Good,
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	if embed {
		template.Certificate = by.Certificate
	}
	if change != nil {
		change(&template)
	}
	der, err := library.CreateResponse(issuer.Certificate, by.Certificate, template, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAnswersThatCount(t *testing.T) {
	root := issue(t, "root", nil, authority)
	other := issue(t, "other", nil, authority)
	leaf := issue(t, "leaf", root, nothing)
	responder := issue(t, "responder", root, delegate)
	for _, c := range []struct {
		what string
		raw  []byte
		want string
	}{
		{"the issuer's", answer(t, root, root, false, nil), "good"},
		{"the issuer's, with its certificate", answer(t, root, root, true, nil), "good"},
		{"a delegate's", answer(t, root, responder, true, nil), "good"},
		{"revoked", answer(t, root, root, true, func(r *library.Response) { r.Status, r.RevokedAt = library.Revoked, time.Now() }), "revoked"},
		{"unknown", answer(t, root, root, true, func(r *library.Response) { r.Status = library.Unknown }), "unknown"},
		{"with another hash", answer(t, root, root, false, func(r *library.Response) { r.IssuerHash = crypto.SHA256 }), "good"},
		{"without an end", answer(t, root, root, false, func(r *library.Response) { r.NextUpdate = time.Time{} }), "good"},
		{"of a fast clock", answer(t, root, root, false, func(r *library.Response) { r.ThisUpdate = time.Now().Add(4 * time.Minute) }), "good"},
		{"of the future", answer(t, root, root, false, func(r *library.Response) { r.ThisUpdate = time.Now().Add(6 * time.Minute) }),
			"OCSP_check_validity() failed (status not yet valid)"},
		{"old", answer(t, root, root, false, func(r *library.Response) { r.NextUpdate = time.Now().Add(-6 * time.Minute) }),
			"OCSP_check_validity() failed (status expired)"},
		{"another authority's", answer(t, root, other, true, nil), "OCSP_basic_verify() failed (the signer is not trusted)"},
		{"another authority's, unnamed", answer(t, root, other, false, nil), "OCSP_basic_verify() failed (the signer is not trusted)"},
		{"a certificate's that may not sign", answer(t, root, issue(t, "leaf", root, nothing), true, nil), "OCSP_basic_verify() failed (the signer is not trusted)"},
		{"a delegate's that has expired", answer(t, root, issue(t, "late", root, func(c *x509.Certificate) {
			delegate(c)
			c.NotAfter = time.Now().Add(-time.Minute)
		}), true, nil), "OCSP_basic_verify() failed (the signer is not trusted)"},
		{"a delegate's of another authority", answer(t, root, issue(t, "foreign", other, delegate), true, nil), "OCSP_basic_verify() failed (the signer is not trusted)"},
		{"about another certificate", answer(t, root, root, false, func(r *library.Response) { r.SerialNumber = big.NewInt(8) }),
			"d2i_OCSP_RESPONSE() failed (no response matching the supplied certificate)"},
		{"about another issuer's", answer(t, other, root, false, nil), "certificate status not found in the OCSP response"},
		{"try later", library.TryLaterErrorResponse, "OCSP response not successful (3: try later)"},
		{"nonsense", []byte("<html>"), "d2i_OCSP_RESPONSE() failed ("},
		{"nothing", nil, "d2i_OCSP_RESPONSE() failed ("},
	} {
		got, err := ocsp.Parse(c.raw, leaf.Certificate, root.Certificate, ocsp.Authorized(root.Certificate), time.Now())
		text := got.Status.String()
		if err != nil {
			text = err.Error()
		}
		if !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %s, want %s", c.what, text, c.want)
		}
	}
}

func TestKeysOfCertificates(t *testing.T) {
	root, other := issue(t, "root", nil, authority), issue(t, "other", nil, authority)
	a := issue(t, "a", root, nothing)
	b := issue(t, "b", root, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(8) })
	if ocsp.Key(a.Certificate, root.Certificate) == ocsp.Key(b.Certificate, root.Certificate) ||
		ocsp.Key(a.Certificate, root.Certificate) == ocsp.Key(a.Certificate, other.Certificate) {
		t.Error("two certificates have one key")
	}
	// caches count keys, not their bytes
	long := issue(t, "long", root, func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 8*10_000) })
	if n, usual := len(ocsp.Key(long.Certificate, root.Certificate)), len(ocsp.Key(a.Certificate, root.Certificate)); n != usual {
		t.Errorf("a long serial number makes a key of %d bytes, not %d", n, usual)
	}
}

func TestResponders(t *testing.T) {
	for url, want := range map[string]string{
		"http://a.example":           "{a.example 80 /}",
		"HTTP://a.example:8080/x/y":  "{a.example 8080 /x/y}",
		"http://127.0.0.1/":          "{127.0.0.1 80 /}",
		"http://[::1]:81/":           "{::1 81 /}",
		"http://[::1]/":              "{::1 80 /}",
		"http://a.example?x=y":       "{a.example 80 /?x=y}",
		"https://a.example/":         `invalid URL prefix in OCSP responder "https://a.example/"`,
		"a.example":                  `invalid URL prefix in OCSP responder "a.example"`,
		"http://":                    `invalid URL prefix in OCSP responder "http://"`,
		"http:///x":                  `no host in OCSP responder "/x"`,
		"http://a.example:0/":        `invalid port in OCSP responder "a.example:0/"`,
		"http://a.example:99999/":    `invalid port in OCSP responder "a.example:99999/"`,
		"http://a.example/\r\nHost:": "invalid character in OCSP responder \"a.example/\r\nHost:\"",
	} {
		r, err := ocsp.ParseResponder(url)
		got := fmt.Sprint(r)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

// serve answers connections with what handle writes to them after a request's head.
func serve(t *testing.T, handle func(path string, w io.Writer)) ocsp.Responder {
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
				head := []byte{}
				one := [1]byte{}
				for !strings.HasSuffix(string(head), "\r\n\r\n") {
					if _, err := conn.Read(one[:]); err != nil {
						return
					}
					head = append(head, one[0])
				}
				handle(strings.Fields(string(head))[1], conn)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return ocsp.Responder{Host: "127.0.0.1", Port: port, URI: "/base"}
}

func TestQuestionsAndAnswers(t *testing.T) {
	root := issue(t, "root", nil, authority)
	leaf := issue(t, "leaf", root, nothing)
	const ok = "HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n\r\n"
	for _, c := range []struct{ reply, want string }{
		{ok + "answer", "answer"},
		{"HTTP/1.1 200 OK\r\n\r\nanswer", "answer"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer and more", "answer"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n", "answer"},
		{ok, "OCSP responder prematurely closed connection"},
		{"", "OCSP responder sent invalid response ("},
		{"nonsense\r\n\r\n", "OCSP responder sent invalid response ("},
		{"HTTP/1.0 404 Not Found\r\n\r\nanswer", "OCSP responder answered with status 404"},
		{"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nanswer", `OCSP responder sent invalid "Content-Type" header: "text/html"`},
		{"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nanswer", "OCSP responder prematurely closed connection, or sent more than 65536 bytes ("},
		{"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), "OCSP responder prematurely closed connection, or sent more than"},
		{"HTTP/1.0 200 OK\r\nX: " + strings.Repeat("x", 100000), "OCSP responder sent invalid response ("},
	} {
		asked := ""
		responder := serve(t, func(path string, w io.Writer) {
			asked = path
			_, _ = io.WriteString(w, c.reply) // the other side may have gone
		})
		got, err := (&ocsp.Asker{}).Ask(t.Context(), responder, leaf.Certificate, root.Certificate)
		text := string(got)
		if err != nil {
			text = err.Error()
		}
		if !strings.HasPrefix(text, c.want) {
			t.Errorf("%.60q: %s, want %s", c.reply, text, c.want)
		}
		question, _ := url.PathUnescape(strings.TrimPrefix(asked, "/base/"))
		der, err := base64.StdEncoding.DecodeString(question)
		if request, parseErr := library.ParseRequest(der); err != nil || parseErr != nil || request.SerialNumber.Int64() != 7 {
			t.Errorf("asked %s: %v, %v", asked, err, parseErr)
		}
	}
}

func TestAResponderHasATime(t *testing.T) {
	root := issue(t, "root", nil, authority)
	leaf := issue(t, "leaf", root, nothing)
	ctx, cancel := context.WithCancelCause(t.Context())
	responder := serve(t, func(_ string, w io.Writer) {
		_, _ = io.WriteString(w, "HTTP/1.0 200 OK\r\n")
		cancel(errors.New("enough"))
		<-t.Context().Done()
	})
	_, err := (&ocsp.Asker{}).Ask(ctx, responder, leaf.Certificate, root.Certificate)
	if err == nil || !strings.HasPrefix(err.Error(), "OCSP responder timed out (enough)") {
		t.Error(err)
	}
}

func TestNamesOfResponders(t *testing.T) {
	root := issue(t, "root", nil, authority)
	leaf := issue(t, "leaf", root, nothing)
	responder := serve(t, func(_ string, w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.0 200 OK\r\n\r\nanswer") })
	responder.Host = "responder.example"
	_, err := (&ocsp.Asker{}).Ask(t.Context(), responder, leaf.Certificate, root.Certificate)
	if err == nil || err.Error() != "no resolver defined to resolve responder.example" {
		t.Error(err)
	}
	// the first address does not answer, the second does
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	got, err := (&ocsp.Asker{Lookup: lookup}).Ask(t.Context(), responder, leaf.Certificate, root.Certificate)
	if err != nil || string(got) != "answer" {
		t.Error(string(got), err)
	}
}

func FuzzAnswer(f *testing.F) {
	root := issue(f, "root", nil, authority)
	leaf := issue(f, "leaf", root, nothing)
	genuine := answer(f, root, root, true, nil)
	f.Add(genuine)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := ocsp.Parse(raw, leaf.Certificate, root.Certificate, ocsp.Authorized(root.Certificate), time.Now())
		if err == nil && (got.Status != ocsp.Good || ocsp.Valid(raw) != nil) {
			t.Errorf("%x counts as %s", raw, got.Status)
		}
	})
}
