package realip_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"starling/modules/stream/core"
	"starling/modules/stream/realip"
	"starling/stream/streamtest"
)

func TestAddressIsReplaced(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n"
	for _, c := range []struct{ name, conf, sent, want string }{
		{"trusted", "set_real_ip_from 127.0.0.0/8;", header, "192.0.2.1:1234 127.0.0.1"},
		{"not trusted", "set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:;", header, "127.0.0.1:PORT 127.0.0.1"},
		{"nobody is trusted", "", header, "127.0.0.1:PORT 127.0.0.1"},
		{"the proxy speaks for itself", "set_real_ip_from 127.0.0.1;", "PROXY UNKNOWN\r\n", "127.0.0.1:PORT 127.0.0.1"},
		{"by name", "set_real_ip_from localhost;", header, "192.0.2.1:1234 127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := streamtest.Start(t, `stream { `+c.conf+` server { listen 1 proxy_protocol; say "$remote_addr:$remote_port $realip_remote_addr"; } }`,
				nil, &core.Module, &realip.Module, streamtest.Say())
			conn := s.Dial(0)
			fmt.Fprint(conn, c.sent)
			_, port, _ := strings.Cut(conn.LocalAddr().String(), ":")
			if got, err := io.ReadAll(conn); string(got) != strings.Replace(c.want, "PORT", port, 1) {
				t.Errorf("got %s (%v), want %s", got, err, c.want)
			}
		})
	}
}

func TestProxyProtocol(t *testing.T) {
	s := streamtest.Start(t, `stream { server { listen 1 proxy_protocol;
		say "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$proxy_protocol_tlv_alpn"; } }`, nil, &core.Module, streamtest.Say())
	for sent, want := range map[string]string{
		"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n": "2001:db8::1|1|2001:db8::2|2|",
		"PROXY UNKNOWN\r\n":                          "||||",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x11\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02\x01\x00\x02h2": "192.0.2.1|1|192.0.2.2|2|h2",
		"GET / HTTP/1.0\r\n\r\n": "",
	} {
		conn := s.Dial(0)
		fmt.Fprint(conn, sent)
		if got, _ := io.ReadAll(conn); string(got) != want {
			t.Errorf("%q: got %s, want %s", sent, got, want)
		}
	}
	if log := strings.Join(s.Log.Lines(), "\n"); strings.Count(log, "while reading PROXY protocol, client: 127.0.0.1, server: ") != 1 {
		t.Error(log)
	}
}
