package ssl

import (
	"time"

	"starling/ssl"
	"starling/vars"
	"starling/web"
)

// variables are nginx's $ssl_…. They have no value without TLS or without the information.
func variables() []vars.Variable[*web.Request] {
	of := func(name, doc string, value func(*ssl.Peer) string) vars.Variable[*web.Request] {
		return vars.Variable[*web.Request]{
			Name: name,
			Doc:  doc,
			Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
				if r.Conn.Peer == nil {
					return dst, false
				}
				text := value(r.Conn.Peer)
				return append(dst, text...), text != ""
			},
		}
	}
	return []vars.Variable[*web.Request]{
		of("ssl_protocol", "The version of TLS.", (*ssl.Peer).Protocol),
		of("ssl_cipher", "The cipher, by OpenSSL's name.", (*ssl.Peer).CipherName),
		of("ssl_curve", "The curve of the key exchange.", (*ssl.Peer).CurveName),
		of("ssl_session_reused", "`r` if the session was resumed, otherwise `.`.", (*ssl.Peer).SessionReused),
		of(
			"ssl_server_name",
			"The server name requested by the client (SNI).",
			func(p *ssl.Peer) string { return p.ServerName },
		),
		of("ssl_alpn_protocol", "The protocol negotiated by ALPN.", func(p *ssl.Peer) string { return p.ALPN }),
		of("ssl_session_id", "Always empty: the TLS library does not expose it.", func(*ssl.Peer) string { return "" }),
		of("ssl_early_data", "Always empty: early data is not supported.", func(*ssl.Peer) string { return "" }),
		of("ssl_client_verify", "`SUCCESS`, `FAILED:` and the reason, or `NONE`.", (*ssl.Peer).Verify),
		of("ssl_client_s_dn", "The subject of the client's certificate.", (*ssl.Peer).SubjectDN),
		of("ssl_client_i_dn", "The issuer of the client's certificate.", (*ssl.Peer).IssuerDN),
		of("ssl_client_serial", "The serial number of the client's certificate.", (*ssl.Peer).Serial),
		of("ssl_client_fingerprint", "The SHA-1 of the client's certificate.", (*ssl.Peer).Fingerprint),
		of("ssl_client_cert", "The client's certificate in PEM, for a header.", (*ssl.Peer).PEM),
		of("ssl_client_raw_cert", "The client's certificate in PEM.", (*ssl.Peer).RawPEM),
		of("ssl_client_escaped_cert", "The client's certificate in PEM, percent-encoded.", (*ssl.Peer).EscapedPEM),
		of("ssl_client_v_start", "The start of the client certificate's validity.", (*ssl.Peer).Start),
		of("ssl_client_v_end", "The end of the client certificate's validity.", (*ssl.Peer).End),
		of(
			"ssl_client_v_remain",
			"The days until the client's certificate expires.",
			func(p *ssl.Peer) string { return p.Remain(time.Now()) },
		),
	}
}
