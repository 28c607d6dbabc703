// Package ocsp asks OCSP responders about certificates (RFC 6960) and judges what they answer, for stapling and for the
// certificates of clients. A responder is a stranger: its answer is bounded in bytes and time, and counts only if it is
// signed.
package ocsp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Responder is the address of a responder.
type Responder struct {
	Host string // a name or an IP address
	Port string
	URI  string
}

// scheme is the only one that nginx speaks to responders: the answers are signed.
const scheme = "http://"

// ParseResponder reads the URL of a responder. The error has nginx's words.
func ParseResponder(url string) (Responder, error) {
	if len(url) <= len(scheme) || !strings.EqualFold(url[:len(scheme)], scheme) {
		return Responder{}, fmt.Errorf("invalid URL prefix in OCSP responder \"%s\"", url)
	}
	url = url[len(scheme):]
	failed := func(why string) error { return fmt.Errorf("%s in OCSP responder \"%s\"", why, url) }
	address, uri := url, "/"
	if slash := strings.IndexAny(url, "/?"); slash >= 0 {
		address, uri = url[:slash], url[slash:]
		if uri[0] == '?' {
			uri = "/" + uri
		}
	}
	if strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Responder{}, failed("invalid character")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), "80"
	}
	if host == "" {
		return Responder{}, failed("no host")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return Responder{}, failed("invalid port")
	}
	return Responder{Host: host, Port: port, URI: uri}, nil
}

// ErrNoURL means that a certificate names no responder.
var ErrNoURL = errors.New("no OCSP responder URL in certificate")
