package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/conf"
	"starling/ssl"
	"starling/upstreams"
	"starling/vars"
	"starling/web"
)

// Settings of one block.
type Settings struct {
	target    *target // of proxy_pass
	version10 bool

	headers          []setHeader
	method, body     *vars.Template[*web.Request]
	passHeaders      bool
	passBody         bool
	requestBuffering bool

	buffering     bool
	bufferBytes   int
	buffers       int
	eachBytes     int
	busyBytes     int // 0: not set
	tempFileBytes int // only checked
	hide, pass    []string
	ignore        ignored
	intercept     bool
	passTrailers  bool
	redirects     []rule
	redirectOff   bool
	cookieDomains []rule
	cookiePaths   []rule
	cookieFlags   []flagRule

	next        conditions
	nextTries   int
	nextTimeout time.Duration

	connectTimeout, sendTimeout, readTimeout time.Duration
	ignoreClientAbort                        bool
	bind                                     upstreams.Bind[*web.Request]
	probe                                    bool

	tls     ssl.BoundClient
	tlsName *vars.Template[*web.Request]
	reuse   bool
	// tlsFiles are certificate and key where their names may have variables.
	tlsFiles ssl.ClientNames[*web.Request]
}

// setHeader is one proxy_set_header.
type setHeader struct {
	name  string
	value vars.Template[*web.Request]
}

// enter takes away what a location inside another does not inherit; if and limit_except keep it.
func enter(settings any, in conf.Context) {
	if in == conf.Location {
		settings.(*Settings).target = nil
	}
}

func parseHeader(a *conf.Args) (setHeader, error) {
	t, err := web.CompileTemplate(a, a.Words[1])
	return setHeader{a.Words[0], t}, err
}

func firstWord(a *conf.Args) (string, error) { return a.Words[0], nil }

// maxBufferBytes bounds what a configuration may let one response take.
const maxBufferBytes = 64 << 20

func bufferBytes(text string) (int, error) {
	n, err := conf.Size(text)
	if err == nil && (n == 0 || n > maxBufferBytes) {
		return 0, conf.InvalidValue
	}
	return int(n), err
}

func setBuffers(s *Settings, a *conf.Args) (err error) {
	if s.buffers, err = conf.Int(1, 1<<16)(a.Words[0]); err != nil {
		return conf.InvalidValue
	}
	if s.buffers < 2 {
		return fmt.Errorf("there must be at least 2 \"proxy_buffers\"")
	}
	s.eachBytes, err = bufferBytes(a.Words[1])
	return err
}

func tempFileBytes(text string) (int, error) {
	n, err := conf.Size(text)
	return int(n), err
}

// check holds the sizes together, as nginx does when it merges a level's settings.
func check(s *Settings, scope *conf.Scope) error {
	if scope.In&places == 0 {
		return nil
	}
	most := max(s.bufferBytes, s.eachBytes)
	busy := s.busyBytes
	if busy == 0 {
		busy = 2 * most
	}
	switch {
	case busy < most:
		return conf.Problems{{What: "\"proxy_busy_buffers_size\" must be equal to or greater than the maximum of " +
			"the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\"", File: scope.Node.File, Line: scope.Node.EndLine}}
	case busy > (s.buffers-1)*s.eachBytes:
		return conf.Problems{{What: "\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one buffer",
			File: scope.Node.File, Line: scope.Node.EndLine}}
	case s.tempFileBytes != 0 && s.tempFileBytes < most:
		return conf.Problems{{What: "\"proxy_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be " +
			"equal to or greater than the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\"",
			File: scope.Node.File, Line: scope.Node.EndLine}}
	}
	return nil
}

// conditions are the words of proxy_next_upstream.
type conditions uint16

const (
	onError conditions = 1 << iota
	onTimeout
	onInvalidHeader
	nonIdempotent
	on500
	on502
	on503
	on504
	on403
	on404
	on429
	never
)

var conditionWords = map[string]conditions{"error": onError, "timeout": onTimeout, "invalid_header": onInvalidHeader,
	"non_idempotent": nonIdempotent, "http_500": on500, "http_502": on502, "http_503": on503, "http_504": on504,
	"http_403": on403, "http_404": on404, "http_429": on429, "off": never}

func parseConditions(a *conf.Args) (c conditions, err error) {
	for _, word := range a.Words {
		bit, known := conditionWords[word]
		if !known {
			return 0, fmt.Errorf("invalid value \"%s\"", word)
		}
		c |= bit
	}
	if c&never != 0 {
		c = never
	}
	return c, nil
}

// conditionOf is the condition that a status of a server is, 0 for the others.
func conditionOf(status int) conditions {
	switch status {
	case 500:
		return on500
	case 502:
		return on502
	case 503:
		return on503
	case 504:
		return on504
	case 403:
		return on403
	case 404:
		return on404
	case 429:
		return on429
	}
	return 0
}

// ignored are the headers of proxy_ignore_headers that have an effect here.
type ignored struct{ redirect, limitRate bool }

// ignorable are the words of proxy_ignore_headers. Those of caching never have an effect here.
var ignorable = []string{"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset",
	"Expires", "Cache-Control", "Set-Cookie", "Vary"}

func parseIgnored(a *conf.Args) (ignored, error) {
	var i ignored
	for _, word := range a.Words {
		at := slices.IndexFunc(ignorable, func(name string) bool { return strings.EqualFold(name, word) })
		if at < 0 {
			return i, fmt.Errorf("invalid value \"%s\"", word)
		}
		i.redirect = i.redirect || at == 0
		i.limitRate = i.limitRate || at == 2
	}
	return i, nil
}
