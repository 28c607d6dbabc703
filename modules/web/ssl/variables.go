package ssl

import (
	"time"

	"starling/ssl"
	"starling/vars"
	"starling/web"
)

// variables are nginx's $ssl_….
func variables() []vars.Variable[*web.Request] {
	of := func(name, doc string, value func(*ssl.Peer) string) vars.Variable[*web.Request] {
		return ssl.PeerVariable(peer, name, doc, value)
	}
	return append(
		ssl.PeerVariables(peer),
		of("ssl_early_data", "Always empty: early data is not supported.", func(*ssl.Peer) string { return "" }),
		of("ssl_client_escaped_cert", "The client's certificate in PEM, percent-encoded.", (*ssl.Peer).EscapedPEM),
		of(
			"ssl_client_v_remain",
			"The days until the client's certificate expires.",
			func(p *ssl.Peer) string { return p.Remain(time.Now()) },
		),
	)
}

func peer(r *web.Request) *ssl.Peer { return r.Conn.Peer }
