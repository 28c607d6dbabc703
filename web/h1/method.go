package h1

// Method is a request method that starling checks (limit_except, HEAD, TRACE); MethodOther is any other.
type Method uint8

// The methods nginx knows.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodMkcol
	MethodCopy
	MethodMove
	MethodOptions
	MethodPropfind
	MethodProppatch
	MethodLock
	MethodUnlock
	MethodPatch
	MethodTrace
	MethodConnect
)

// IdentifyMethod returns the Method of a name; methods are case-sensitive.
func IdentifyMethod(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "MKCOL":
		return MethodMkcol
	case "COPY":
		return MethodCopy
	case "MOVE":
		return MethodMove
	case "OPTIONS":
		return MethodOptions
	case "PROPFIND":
		return MethodPropfind
	case "PROPPATCH":
		return MethodProppatch
	case "LOCK":
		return MethodLock
	case "UNLOCK":
		return MethodUnlock
	case "PATCH":
		return MethodPatch
	case "TRACE":
		return MethodTrace
	case "CONNECT":
		return MethodConnect
	}
	return MethodOther
}

// Version is the protocol of a message, numbered as in nginx: 9, 1000, 1001. HTTP/1.2 to 1.9 count as 1.1 (RFC 9112,
// 2.5).
type Version uint16

// The versions this package speaks.
const (
	Version09 Version = 9
	Version10 Version = 1000
	Version11 Version = 1001
	Version20 Version = 2000 // HTTP/2, whose frames are not in this package
)
