package web

import (
	"time"

	"starling/lib/symlink"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web/h1"
)

// Settings are the settings of the kit itself in one block. The core family has the directives that set them; the kit
// finds them by their type.
type Settings struct {
	// Of the whole http block and of servers.
	Listens       side.Listens
	Names         side.Names[*Request]
	HeaderTimeout time.Duration
	Limits        h1.Limits
	// ServerZone and LocationZone are the names of the status zones of a server and of a location; empty for none.
	ServerZone, LocationZone vars.Template[*Request]

	// Of servers and locations.
	BodyTimeout       time.Duration
	SendTimeout       time.Duration
	MaxBodyBytes      int64 // client_max_body_size; 0: any
	BodyBufferBytes   int64
	BodyPath          TempPath   // client_body_temp_path
	BodyInFile        BodyInFile // client_body_in_file_only
	HTTP2             bool
	HTTP2Streams      int   // http2_max_concurrent_streams
	HTTP2PrereadBytes int64 // http2_body_preread_size
	HTTP2ChunkBytes   int64 // http2_chunk_size
	HTTP2ReadBytes    int64 // http2_recv_buffer_size

	KeepAlive        KeepAlive
	KeepAliveMin     time.Duration // that a connection is kept after a request, even if the site retires
	KeepAliveMax     int           // keepalive_requests
	KeepAliveTime    time.Duration
	KeepAliveDisable DisabledBrowsers
	Lingering        Lingering
	LingeringTime    time.Duration
	LingeringTimeout time.Duration
	ResetTimedOut    bool
	NoDelay          bool
	Chunked          bool // chunked_transfer_encoding
	LimitRate        vars.Template[*Request]
	LimitRateAfter   vars.Template[*Request]

	// Root is the document root ($document_root), or the replacement of the location's name if Alias.
	Root  vars.Template[*Request]
	Alias bool
	// AliasPart is the name of the location with the alias, which a nested one can inherit: the part that the alias
	// replaces. AliasWhole: that location is a regular expression, and the alias a whole file name.
	AliasPart  []byte
	AliasWhole bool
	// Symlinks is disable_symlinks; SymlinksFrom is its from=: the part of paths that may have any links.
	Symlinks     symlink.Rule
	SymlinksFrom vars.Template[*Request]
	DefaultType  string
	Types        map[string]string // extension in lower case to media type

	ErrorPages          []ErrorPage
	RecursiveErrorPages bool
	Internal            bool
	SatisfyAny          bool
	AllowedMethods      []string                  // of limit_except
	EarlyBody           []vars.Template[*Request] // conditions to read the body before everything else
	EarlyHints          []vars.Template[*Request] // conditions to forward a 103
	IfModifiedSince     IfModifiedSince
	ETag                bool
	MaxRanges           int
	AuthDelay           time.Duration
	PostAction          string // a URI, or the name of a location; "" for none
	SubrequestBytes     int64  // of a response that a subrequest keeps
	LogSubrequest       bool

	AbsoluteRedirect     bool
	ServerNameInRedirect bool
	PortInRedirect       bool
	Tokens               Tokens
	ServerText           vars.Template[*Request] // with TokensText
	LogNotFound          bool
	MSIEPadding          bool
	MSIERefresh          bool
	ErrorLogs            []logs.Target
	Resolver             plan.ResolverSettings
}

// BodyInFile is client_body_in_file_only.
type BodyInFile int

// The words of client_body_in_file_only.
const (
	BodyFileIfLarge BodyInFile = iota // off
	BodyFileStays                     // on
	BodyFileCleaned                   // clean
)

// KeepAlive are the arguments of keepalive_timeout.
type KeepAlive struct {
	Timeout time.Duration // 0: no kept connections
	Header  time.Duration // of the Keep-Alive header; 0: not sent
}

// Lingering is when the client's remaining bytes are read before its connection is closed.
type Lingering int

// The words of lingering_close.
const (
	LingerIfNeeded Lingering = iota
	LingerNever
	LingerAlways
)

// IfModifiedSince is the comparison of files with the client's date.
type IfModifiedSince int

// The words of if_modified_since.
const (
	ModifiedExact IfModifiedSince = iota
	ModifiedBefore
	ModifiedOff
)

// DisabledBrowsers are the words of keepalive_disable.
type DisabledBrowsers struct{ MSIE6, Safari bool }

// ErrorPage is one status of an error_page directive.
type ErrorPage struct {
	Status int
	// Answer replaces the status; -1: the status stays; 0: that of the page itself.
	Answer int
	URI    vars.Template[*Request]
}
