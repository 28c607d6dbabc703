package web

import (
	"html"

	"starling/nginx/version"
)

// Tokens is the value of server_tokens.
type Tokens int

// The words of server_tokens.
const (
	TokensVersion Tokens = iota
	TokensOff
	TokensBuild
	TokensText // Settings.ServerText says it
)

// serverTokens are the values of the Server header that need no request.
var serverTokens = [...][]byte{
	TokensVersion: []byte(version.Server),
	TokensOff:     []byte("starling"),
	TokensBuild:   []byte(version.Server),
}

// signatures end the error pages, by server_tokens.
var signatures = [...][]byte{
	TokensVersion: signature(serverTokens[TokensVersion]),
	TokensOff:     signature(serverTokens[TokensOff]),
	TokensBuild:   signature(serverTokens[TokensBuild]),
}

func signature(server []byte) []byte {
	line := ""
	if len(server) > 0 {
		// The text can contain input from the client.
		line = "<hr><center>" + html.EscapeString(string(server)) + "</center>\r\n"
	}
	return []byte(line + "</body>\r\n</html>\r\n")
}

// serverToken is the value of the Server header; if it is empty, the header is not sent. A text with variables is
// evaluated once per response.
func (r *Request) serverToken() []byte {
	core := r.Location.Core
	if core.Tokens != TokensText {
		return serverTokens[core.Tokens]
	}
	if r.Out.server == nil {
		r.Out.server = r.Expand(&core.ServerText)
	}
	return r.Out.server
}

// signature ends a page of an error.
func (r *Request) signature() []byte {
	if tokens := r.Location.Core.Tokens; tokens != TokensText {
		return signatures[tokens]
	}
	return signature(r.serverToken())
}
