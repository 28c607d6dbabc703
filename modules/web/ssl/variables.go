package ssl

import (
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
		of(
			"ssl_client_s_dn_legacy",
			"The subject of the client's certificate as `/C=US/O=Acme`.",
			(*ssl.Peer).LegacySubjectDN,
		),
		of(
			"ssl_client_i_dn_legacy",
			"The issuer of the client's certificate as `/C=US/O=Acme`.",
			(*ssl.Peer).LegacyIssuerDN,
		),
	)
}

func peer(r *web.Request) *ssl.Peer { return r.Conn.Peer }
