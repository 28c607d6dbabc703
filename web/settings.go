package web

import (
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web/h1"
)

// CoreSettings are the bound settings of module Core in one block.
type CoreSettings struct {
	// Of the whole http block and of servers.
	Listens       side.Listens
	Names         side.Names[*Request]
	HeaderTimeout time.Duration
	Limits        h1.Limits

	// Of servers and locations.
	BodyTimeout       time.Duration
	SendTimeout       time.Duration
	MaxBodyBytes      int64 // client_max_body_size; 0: any
	BodyBufferBytes   int64
	BodyPath          bodyPath   // client_body_temp_path
	BodyInFile        BodyInFile // client_body_in_file_only
	HTTP2             bool
	HTTP2Streams      int   // http2_max_concurrent_streams
	HTTP2PrereadBytes int64 // http2_body_preread_size
	HTTP2ChunkBytes   int64 // http2_chunk_size
	HTTP2ReadBytes    int64 // http2_recv_buffer_size

	KeepAlive        keepAlive
	KeepAliveMax     int // keepalive_requests
	KeepAliveTime    time.Duration
	KeepAliveDisable disabledBrowsers
	Lingering        lingering
	LingeringTime    time.Duration
	LingeringTimeout time.Duration
	ResetTimedOut    bool
	NoDelay          bool
	Chunked          bool // chunked_transfer_encoding
	LimitRate        vars.Template[*Request]
	LimitRateAfter   vars.Template[*Request]

	// Root is the document root ($document_root), or what takes the place of the location's name if Alias.
	Root  vars.Template[*Request]
	Alias bool
	// aliasPart is the name of the location with the alias, which a nested one may inherit: what the alias takes the
	// place of. aliasWhole: that location is a regular expression, and the alias a whole file name.
	aliasPart   []byte
	aliasWhole  bool
	DefaultType string
	Types       map[string]string // extension in lower case to media type

	ErrorPages          []errorPage
	RecursiveErrorPages bool
	Internal            bool
	SatisfyAny          bool
	allowedMethods      []string // of limit_except
	earlyHints          []vars.Template[*Request]
	IfModifiedSince     IfModifiedSince
	ETag                bool
	MaxRanges           int
	LogSubrequest       bool

	AbsoluteRedirect     bool
	ServerNameInRedirect bool
	PortInRedirect       bool
	Tokens               tokens
	LogNotFound          bool
	ErrorLogs            []logs.Target
	Resolver             plan.ResolverSettings
}

// keepAlive are the arguments of keepalive_timeout.
type keepAlive struct {
	Timeout time.Duration // 0: no kept connections
	Header  time.Duration // of the Keep-Alive header; 0: none is sent
}

type lingering int

const (
	lingerIfNeeded lingering = iota
	lingerNever
	lingerAlways
)

// tokens is what server_tokens lets out.
type tokens int

const (
	tokensVersion tokens = iota
	tokensOff
	tokensBuild
)

// IfModifiedSince is the comparison of files with the client's date.
type IfModifiedSince int

// The words of if_modified_since.
const (
	ModifiedExact IfModifiedSince = iota
	ModifiedBefore
	ModifiedOff
)

type disabledBrowsers struct{ msie6, safari bool }

// errorPage is one status of an error_page directive.
type errorPage struct {
	status int
	// answer replaces the status; -1: the status stays; 0: that of the page itself.
	answer int
	uri    vars.Template[*Request]
}

func cloneCore(settings any) any {
	c := *settings.(*CoreSettings)
	return &c
}

// enterCore takes away what a nested block does not inherit.
func enterCore(settings any, in conf.Context) {
	s := settings.(*CoreSettings)
	s.allowedMethods = nil
	if in == conf.Location {
		s.Internal = false
	}
}
