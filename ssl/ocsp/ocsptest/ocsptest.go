// Package ocsptest is an OCSP responder for tests.
package ocsptest

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Responder answers about the certificates of one issuer.
type Responder struct {
	URL string
	// Asked counts the questions.
	Asked atomic.Int64

	issuer *x509.Certificate
	key    crypto.Signer

	mu     sync.Mutex
	status map[string]int
	by     *x509.Certificate
	byKey  crypto.Signer
	hold   chan struct{}
}

// Serve starts a responder that says good of everything, signed by the issuer.
func Serve(t testing.TB, issuer *x509.Certificate, key crypto.Signer) *Responder {
	r := &Responder{issuer: issuer, key: key, by: issuer, byKey: key, status: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(r.answer))
	r.URL = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(r.Release) // before Close, which waits for handlers
	return r
}

// Set sets what it says of a certificate: ocsp.Good, ocsp.Revoked, ocsp.Unknown, or -1 for an error.
func (r *Responder) Set(serial *big.Int, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[serial.String()] = status
}

// SignAs makes another sign the answers.
func (r *Responder) SignAs(by *x509.Certificate, key crypto.Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by, r.byKey = by, key
}

// Hold makes it answer only after Release.
func (r *Responder) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hold == nil {
		r.hold = make(chan struct{})
	}
}

// Release ends Hold.
func (r *Responder) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hold != nil {
		close(r.hold)
		r.hold = nil
	}
}

func (r *Responder) answer(w http.ResponseWriter, request *http.Request) {
	r.Asked.Add(1)
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-request.Context().Done():
		}
	}
	text, _ := url.PathUnescape(strings.TrimPrefix(request.URL.EscapedPath(), "/"))
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	question, err := ocsp.ParseRequest(der)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	status, by, key := r.status[question.SerialNumber.String()], r.by, r.byKey
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/ocsp-response")
	if status < 0 {
		_, _ = w.Write(ocsp.TryLaterErrorResponse) // a client that has gone sees nothing
		return
	}
	answer, err := ocsp.CreateResponse(r.issuer, by, ocsp.Response{
		SerialNumber: question.SerialNumber, Status: status, RevokedAt: time.Now().Add(-time.Hour), Certificate: by,
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
	}, key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer) // as above
}
