package ssl

import (
	"starling/ssl"
	"starling/stream"
	"starling/vars"
)

// variables are nginx's $ssl_… of stream.
func variables() []vars.Variable[*stream.Session] {
	return ssl.PeerVariables(func(s *stream.Session) *ssl.Peer { return s.Peer })
}
