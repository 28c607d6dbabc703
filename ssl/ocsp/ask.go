package ocsp

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/crypto/ocsp"

	"starling/lib/resolver"
)

// maxAnswerBytes bounds what a responder may send, head included. nginx takes 16 KB; an answer with a chain of large
// certificates (post-quantum ones, say) can be longer.
const maxAnswerBytes = 64 << 10

// maxAddresses bounds the addresses of one responder that are tried.
const maxAddresses = 8

// Asker sends questions to responders.
type Asker struct {
	// Resolver finds the addresses of names; nil: see Lookup.
	Resolver *resolver.Resolver
	// Lookup finds them without a Resolver; nil rejects names.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// SystemLookup is a Lookup with the resolver of the system.
func SystemLookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// Ask returns the answer of a responder about a certificate, unchecked. The context bounds the time.
func (a *Asker) Ask(ctx context.Context, r Responder, certificate, issuer *x509.Certificate) ([]byte, error) {
	question, err := ocsp.CreateRequest(certificate, issuer, nil) // SHA-1, which all responders know
	if err != nil {
		return nil, fmt.Errorf("OCSP_cert_to_id() failed (%w)", err)
	}
	addresses, err := a.addresses(ctx, r.Host)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no address", r.Host)
	for _, address := range addresses[:min(len(addresses), maxAddresses)] {
		var answer []byte
		peer := net.JoinHostPort(address.Unmap().String(), r.Port)
		if answer, err = exchange(ctx, peer, r, question); err == nil {
			return answer, nil
		}
		err = fmt.Errorf("%w, peer: %s", err, peer)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (a *Asker) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	switch {
	case a.Resolver != nil:
		addresses, _, err := a.Resolver.Lookup(ctx, host)
		return addresses, err
	case a.Lookup != nil:
		return a.Lookup(ctx, host)
	}
	return nil, fmt.Errorf("no resolver defined to resolve %s", host)
}

// exchange sends a question to one address, as nginx does: HTTP/1.0, and the question in the path.
func exchange(ctx context.Context, peer string, r Responder, question []byte) ([]byte, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", peer)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	uri := strings.TrimSuffix(r.URI, "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(question))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", uri, r.Host); err != nil {
		return nil, timedOut(ctx, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswerBytes)), nil)
	if err != nil {
		return nil, timedOut(ctx, fmt.Errorf("OCSP responder sent invalid response (%w)", err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("OCSP responder answered with status %d", response.StatusCode)
	}
	const wanted = "application/ocsp-response"
	if kind := response.Header.Get("Content-Type"); kind != "" && !strings.EqualFold(kind, wanted) {
		return nil, fmt.Errorf("OCSP responder sent invalid \"Content-Type\" header: \"%.100s\"", kind)
	}
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		err = fmt.Errorf("OCSP responder prematurely closed connection, or sent more than %d bytes (%w)",
			maxAnswerBytes, err)
		return nil, timedOut(ctx, err)
	case len(answer) == 0:
		return nil, errors.New("OCSP responder prematurely closed connection")
	}
	return answer, nil
}

// timedOut replaces an error that only the end of the context has caused.
func timedOut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("OCSP responder timed out (%w)", context.Cause(ctx))
	}
	return err
}
