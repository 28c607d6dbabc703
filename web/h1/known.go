package h1

// Known is a header that starling treats specially. It is determined once, when a header is read, so that no names are
// compared later. Values stay below 64: KnownSet is one machine word.
type Known uint8

// The headers used on the request path. HeaderOther is every other name.
const (
	HeaderOther Known = iota
	HeaderAccept
	HeaderAcceptEncoding
	HeaderAcceptLanguage
	HeaderAcceptRanges
	HeaderAge
	HeaderAllow
	HeaderAuthorization
	HeaderCacheControl
	HeaderConnection
	HeaderContentEncoding
	HeaderContentLength
	HeaderContentRange
	HeaderContentType
	HeaderCookie
	HeaderDate
	HeaderETag
	HeaderExpect
	HeaderExpires
	HeaderHost
	HeaderHTTP2Settings
	HeaderIfMatch
	HeaderIfModifiedSince
	HeaderIfNoneMatch
	HeaderIfRange
	HeaderIfUnmodifiedSince
	HeaderKeepAlive
	HeaderLastModified
	HeaderLink
	HeaderLocation
	HeaderOrigin
	HeaderPragma
	HeaderProxyAuthenticate
	HeaderProxyAuthorization
	HeaderProxyConnection
	HeaderRange
	HeaderReferer
	HeaderRefresh
	HeaderRetryAfter
	HeaderServer
	HeaderSetCookie
	HeaderStatus
	HeaderTE
	HeaderTrailer
	HeaderTransferEncoding
	HeaderUpgrade
	HeaderUserAgent
	HeaderVary
	HeaderVia
	HeaderWWWAuthenticate
	HeaderXAccelBuffering
	HeaderXAccelCharset
	HeaderXAccelExpires
	HeaderXAccelLimitRate
	HeaderXAccelRedirect
	HeaderXForwardedFor
	HeaderXForwardedHost
	HeaderXForwardedProto
	HeaderXRealIP
	HeaderXRequestID
	knownCount
)

// knownNames are the usual spellings, for headers that starling writes itself.
var knownNames = [knownCount]string{
	HeaderAccept: "Accept", HeaderAcceptEncoding: "Accept-Encoding", HeaderAcceptLanguage: "Accept-Language",
	HeaderAcceptRanges: "Accept-Ranges", HeaderAge: "Age", HeaderAllow: "Allow", HeaderAuthorization: "Authorization",
	HeaderCacheControl: "Cache-Control", HeaderConnection: "Connection", HeaderContentEncoding: "Content-Encoding",
	HeaderContentLength: "Content-Length", HeaderContentRange: "Content-Range", HeaderContentType: "Content-Type",
	HeaderCookie: "Cookie", HeaderDate: "Date", HeaderETag: "ETag", HeaderExpect: "Expect", HeaderExpires: "Expires",
	HeaderHost: "Host", HeaderHTTP2Settings: "HTTP2-Settings", HeaderIfMatch: "If-Match",
	HeaderIfModifiedSince: "If-Modified-Since", HeaderIfNoneMatch: "If-None-Match", HeaderIfRange: "If-Range",
	HeaderIfUnmodifiedSince: "If-Unmodified-Since", HeaderKeepAlive: "Keep-Alive", HeaderLastModified: "Last-Modified",
	HeaderLink: "Link", HeaderLocation: "Location", HeaderOrigin: "Origin", HeaderPragma: "Pragma",
	HeaderProxyAuthenticate: "Proxy-Authenticate", HeaderProxyAuthorization: "Proxy-Authorization",
	HeaderProxyConnection: "Proxy-Connection", HeaderRange: "Range", HeaderReferer: "Referer", HeaderRefresh: "Refresh",
	HeaderRetryAfter: "Retry-After", HeaderServer: "Server", HeaderSetCookie: "Set-Cookie", HeaderStatus: "Status",
	HeaderTE: "TE", HeaderTrailer: "Trailer", HeaderTransferEncoding: "Transfer-Encoding", HeaderUpgrade: "Upgrade",
	HeaderUserAgent: "User-Agent", HeaderVary: "Vary", HeaderVia: "Via", HeaderWWWAuthenticate: "WWW-Authenticate",
	HeaderXAccelBuffering: "X-Accel-Buffering", HeaderXAccelCharset: "X-Accel-Charset",
	HeaderXAccelExpires: "X-Accel-Expires", HeaderXAccelLimitRate: "X-Accel-Limit-Rate",
	HeaderXAccelRedirect: "X-Accel-Redirect", HeaderXForwardedFor: "X-Forwarded-For",
	HeaderXForwardedHost: "X-Forwarded-Host", HeaderXForwardedProto: "X-Forwarded-Proto", HeaderXRealIP: "X-Real-IP",
	HeaderXRequestID: "X-Request-ID",
}

// String is the usual spelling, or "" for HeaderOther.
func (k Known) String() string {
	if k < knownCount {
		return knownNames[k]
	}
	return ""
}

// maxKnownBytes bounds the names that identify checks; a power of two, so that an index can be masked.
const maxKnownBytes = 32

// Identify returns the Known of a name in any case, without allocating.
func Identify(name []byte) Known {
	if len(name) > maxKnownBytes {
		return HeaderOther
	}
	var lower [maxKnownBytes]byte
	for i, c := range name {
		l := plainName[c]
		if l == 0 {
			return HeaderOther
		}
		lower[i&(maxKnownBytes-1)] = l
	}
	return identifyLower(lower[:len(name)])
}

// identifyLower identifies lower-case names. The compiler turns the switch into a jump by length and a short search,
// which measured no worse than a hand-made perfect hash and is readable.
func identifyLower(name []byte) Known {
	switch string(name) {
	case "host":
		return HeaderHost
	case "connection":
		return HeaderConnection
	case "content-length":
		return HeaderContentLength
	case "transfer-encoding":
		return HeaderTransferEncoding
	case "user-agent":
		return HeaderUserAgent
	case "accept":
		return HeaderAccept
	case "accept-encoding":
		return HeaderAcceptEncoding
	case "accept-language":
		return HeaderAcceptLanguage
	case "cookie":
		return HeaderCookie
	case "referer":
		return HeaderReferer
	case "content-type":
		return HeaderContentType
	case "x-forwarded-for":
		return HeaderXForwardedFor
	case "x-forwarded-proto":
		return HeaderXForwardedProto
	case "x-forwarded-host":
		return HeaderXForwardedHost
	case "x-real-ip":
		return HeaderXRealIP
	case "x-request-id":
		return HeaderXRequestID
	case "authorization":
		return HeaderAuthorization
	case "expect":
		return HeaderExpect
	case "upgrade":
		return HeaderUpgrade
	case "keep-alive":
		return HeaderKeepAlive
	default:
		return identifyRareLower(name)
	}
}

// identifyRareLower identifies rare request headers.
func identifyRareLower(name []byte) Known {
	switch string(name) {
	case "proxy-connection":
		return HeaderProxyConnection
	case "proxy-authorization":
		return HeaderProxyAuthorization
	case "proxy-authenticate":
		return HeaderProxyAuthenticate
	case "te":
		return HeaderTE
	case "trailer":
		return HeaderTrailer
	case "via":
		return HeaderVia
	case "http2-settings":
		return HeaderHTTP2Settings
	case "if-match":
		return HeaderIfMatch
	case "if-none-match":
		return HeaderIfNoneMatch
	case "if-modified-since":
		return HeaderIfModifiedSince
	case "if-unmodified-since":
		return HeaderIfUnmodifiedSince
	case "if-range":
		return HeaderIfRange
	case "range":
		return HeaderRange
	case "content-range":
		return HeaderContentRange
	case "pragma":
		return HeaderPragma
	case "origin":
		return HeaderOrigin
	default:
		return identifyResponseLower(name)
	}
}

// identifyResponseLower identifies headers that (almost) only servers send.
func identifyResponseLower(name []byte) Known {
	switch string(name) {
	case "date":
		return HeaderDate
	case "server":
		return HeaderServer
	case "set-cookie":
		return HeaderSetCookie
	case "cache-control":
		return HeaderCacheControl
	case "last-modified":
		return HeaderLastModified
	case "etag":
		return HeaderETag
	case "expires":
		return HeaderExpires
	case "location":
		return HeaderLocation
	case "vary":
		return HeaderVary
	case "age":
		return HeaderAge
	case "allow":
		return HeaderAllow
	case "accept-ranges":
		return HeaderAcceptRanges
	case "content-encoding":
		return HeaderContentEncoding
	case "link":
		return HeaderLink
	case "refresh":
		return HeaderRefresh
	case "retry-after":
		return HeaderRetryAfter
	case "status":
		return HeaderStatus
	case "www-authenticate":
		return HeaderWWWAuthenticate
	case "x-accel-buffering":
		return HeaderXAccelBuffering
	case "x-accel-charset":
		return HeaderXAccelCharset
	case "x-accel-expires":
		return HeaderXAccelExpires
	case "x-accel-limit-rate":
		return HeaderXAccelLimitRate
	case "x-accel-redirect":
		return HeaderXAccelRedirect
	}
	return HeaderOther
}

// KnownSet is a set of known headers in one word.
type KnownSet uint64

// SetOf makes a set; for package-level tables.
func SetOf(ids ...Known) KnownSet {
	var s KnownSet
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

// Has reports whether id is in the set; HeaderOther never is.
func (s KnownSet) Has(id Known) bool { return s&(1<<id) != 0 && id != HeaderOther }

// With is the set and id.
func (s KnownSet) With(id Known) KnownSet { return s | 1<<id }

// HopByHop are the headers of one connection (RFC 9110, 7.6.1), which are not forwarded.
var HopByHop = SetOf(HeaderConnection, HeaderKeepAlive, HeaderProxyConnection, HeaderTE, HeaderTrailer,
	HeaderTransferEncoding, HeaderUpgrade, HeaderHTTP2Settings)
