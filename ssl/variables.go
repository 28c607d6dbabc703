package ssl

import (
	"time"

	"starling/vars"
)

// PeerVariable is a variable of a connection. It has no value without TLS, where peer returns nil, nor if the value is
// empty.
func PeerVariable[C any](peer func(c C) *Peer, name, doc string, value func(*Peer) string) vars.Variable[C] {
	return vars.Variable[C]{
		Name: name,
		Doc:  doc,
		Append: func(c C, _ string, dst []byte) ([]byte, bool) {
			p := peer(c)
			if p == nil {
				return dst, false
			}
			text := value(p)
			return append(dst, text...), text != ""
		},
	}
}

// PeerVariables are the $ssl_… that both sides have.
func PeerVariables[C any](peer func(c C) *Peer) []vars.Variable[C] {
	of := func(name, doc string, value func(*Peer) string) vars.Variable[C] {
		return PeerVariable(peer, name, doc, value)
	}
	return []vars.Variable[C]{
		of("ssl_protocol", "The version of TLS.", (*Peer).Protocol),
		of("ssl_cipher", "The cipher, by OpenSSL's name.", (*Peer).CipherName),
		of("ssl_ciphers", "The ciphers that the client offers, by OpenSSL's names.", (*Peer).CipherNames),
		of("ssl_curve", "The curve of the key exchange.", (*Peer).CurveName),
		of("ssl_curves", "The curves that the client offers, by OpenSSL's names.", (*Peer).CurveNames),
		of("ssl_sigalg", "The algorithm of the server's signature in the handshake.", (*Peer).Signature),
		of(
			"ssl_sigalgs",
			"The signature algorithms that the client offers, by name (nginx shows their numbers before OpenSSL 4.0).",
			(*Peer).SignatureNames,
		),
		of("ssl_client_sigalg", "The algorithm of the client's signature in the handshake.", (*Peer).ClientSignature),
		of("ssl_session_reused", "`r` if the session was resumed, otherwise `.`.", (*Peer).SessionReused),
		of("ssl_session_id", "Always empty: the TLS library does not expose it.", none),
		of(
			"ssl_server_name",
			"The server name requested by the client (SNI).",
			func(p *Peer) string { return p.ServerName },
		),
		of("ssl_alpn_protocol", "The protocol negotiated by ALPN.", func(p *Peer) string { return p.ALPN }),
		of("ssl_client_verify", "`SUCCESS`, `FAILED:` and the reason, or `NONE`.", (*Peer).Verify),
		of("ssl_client_s_dn", "The subject of the client's certificate.", (*Peer).SubjectDN),
		of("ssl_client_i_dn", "The issuer of the client's certificate.", (*Peer).IssuerDN),
		of("ssl_client_serial", "The serial number of the client's certificate.", (*Peer).Serial),
		of("ssl_client_fingerprint", "The SHA-1 of the client's certificate.", (*Peer).Fingerprint),
		of("ssl_client_cert", "The client's certificate in PEM, for a header.", (*Peer).PEM),
		of("ssl_client_raw_cert", "The client's certificate in PEM.", (*Peer).RawPEM),
		of("ssl_client_escaped_cert", "The client's certificate in PEM, percent-encoded.", (*Peer).EscapedPEM),
		of("ssl_client_v_start", "The start of the client certificate's validity.", (*Peer).Start),
		of("ssl_client_v_end", "The end of the client certificate's validity.", (*Peer).End),
		of(
			"ssl_client_v_remain",
			"The days until the client's certificate expires.",
			func(p *Peer) string { return p.Remain(time.Now()) },
		),
		of("ssl_ech_status", "Always empty: encrypted client hellos (ECH) are not supported.", none),
		of("ssl_ech_outer_server_name", "Always empty: encrypted client hellos (ECH) are not supported.", none),
	}
}

func none(*Peer) string { return "" }
