package ssl

import (
	"starling/ssl"
	"starling/stream"
	"starling/vars"
)

// variables are nginx's $ssl_… of stream. Without TLS none of them has a value.
func variables() []vars.Variable[*stream.Session] {
	of := func(name, doc string, value func(*ssl.Peer) string) vars.Variable[*stream.Session] {
		return vars.Variable[*stream.Session]{Name: name, Doc: doc, Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			if s.Peer == nil {
				return dst, false
			}
			text := value(s.Peer)
			return append(dst, text...), text != ""
		}}
	}
	return []vars.Variable[*stream.Session]{
		of("ssl_protocol", "the version of TLS", (*ssl.Peer).Protocol),
		of("ssl_cipher", "the cipher, by OpenSSL's name", (*ssl.Peer).CipherName),
		of("ssl_curve", "the curve of the key exchange", (*ssl.Peer).CurveName),
		of("ssl_session_reused", "r where a session was resumed, else a dot", (*ssl.Peer).SessionReused),
		of("ssl_session_id", "has no value: the TLS library keeps it to itself", func(*ssl.Peer) string { return "" }),
		of("ssl_server_name", "the name that the client asked for (SNI)", func(p *ssl.Peer) string { return p.ServerName }),
		of("ssl_alpn_protocol", "the protocol of the application layer", func(p *ssl.Peer) string { return p.ALPN }),
		of("ssl_client_verify", "SUCCESS, FAILED:reason or NONE", (*ssl.Peer).Verify),
		of("ssl_client_s_dn", "the subject of the client's certificate", (*ssl.Peer).SubjectDN),
		of("ssl_client_i_dn", "the issuer of the client's certificate", (*ssl.Peer).IssuerDN),
		of("ssl_client_serial", "the serial number of the client's certificate", (*ssl.Peer).Serial),
		of("ssl_client_fingerprint", "the SHA-1 of the client's certificate", (*ssl.Peer).Fingerprint),
		of("ssl_client_cert", "the client's certificate in PEM, for a header", (*ssl.Peer).PEM),
		of("ssl_client_raw_cert", "the client's certificate in PEM", (*ssl.Peer).RawPEM),
		of("ssl_client_v_start", "from when the client's certificate is valid", (*ssl.Peer).Start),
		of("ssl_client_v_end", "until when the client's certificate is valid", (*ssl.Peer).End),
	}
}
