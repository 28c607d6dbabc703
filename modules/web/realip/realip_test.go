package realip_test

import (
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/realip"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &realip.Module, webtest.Say()}

// say answers with who the client is taken for.
const say = `say "$remote_addr|$remote_port|$realip_remote_addr";`

// The clients of these tests come from a unix socket as far as the server can see.
func TestAddressIsReplaced(t *testing.T) {
	for _, c := range []struct{ name, conf, headers, want string }{
		{"not trusted", "set_real_ip_from 127.0.0.1;", "X-Real-IP: 192.0.2.1", "unix:||unix:"},
		{"the default header", "set_real_ip_from unix:;", "X-Real-IP: 192.0.2.1", "192.0.2.1||unix:"},
		{"with a port", "set_real_ip_from unix:;", "X-Real-IP: 192.0.2.1:1234", "192.0.2.1|1234|unix:"},
		{"IPv6", "set_real_ip_from unix:;", "X-Real-IP: 2001:db8::1", "2001:db8::1||unix:"},
		{"not sent", "set_real_ip_from unix:;", "X: y", "unix:||unix:"},
		{"nonsense", "set_real_ip_from unix:;", "X-Real-IP: localhost", "unix:||unix:"},
		{"the last of a list", "set_real_ip_from unix:; real_ip_header X-Forwarded-For;", "X-Forwarded-For: 192.0.2.1, 10.0.0.1", "10.0.0.1||unix:"},
		{"recursive", "set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on;",
			"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1", "192.0.2.1||unix:"},
		{"another header", "set_real_ip_from unix:; real_ip_header X-Client;", "X-Client: 192.0.2.1", "192.0.2.1||unix:"},
		{"no PROXY protocol", "set_real_ip_from unix:; real_ip_header proxy_protocol;", "X-Real-IP: 192.0.2.1", "unix:||unix:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, at := range []string{
				c.conf + " server { location / { " + say + " } }",
				"server { " + c.conf + " location / { " + say + " } }",
				"server { location / { " + c.conf + say + " } }",
			} {
				s := webtest.Start(t, modules, at)
				if got := s.Get("/", c.headers); !strings.HasSuffix(got, "\r\n\r\n"+c.want) {
					t.Errorf("%s\ngot %s\nwant %s", at, got, c.want)
				}
			}
		})
	}
}

func TestAddressIsReplacedOnce(t *testing.T) {
	s := webtest.Start(t, modules, `server { set_real_ip_from unix:; set_real_ip_from 192.0.2.0/24; location / { real_ip_header X-Other; `+say+` } }`)
	got := s.Get("/", "X-Real-IP: 192.0.2.1", "X-Other: 198.51.100.1")
	if !strings.HasSuffix(got, "\r\n\r\n192.0.2.1||unix:") {
		t.Error(got)
	}
}

func TestProxyProtocol(t *testing.T) {
	s := webtest.Start(t, modules, `server { listen 80 proxy_protocol; set_real_ip_from unix:; real_ip_header proxy_protocol; location / {
		say "$remote_addr|$remote_port|$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$proxy_protocol_tlv_alpn"; } }`)
	const get = "GET / HTTP/1.0\r\n\r\n"
	for sent, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n": "192.0.2.1|1234|192.0.2.1|1234|192.0.2.2|5678|",
		"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n":   "2001:db8::1|1|2001:db8::1|1|2001:db8::2|2|",
		"PROXY UNKNOWN\r\n":                            "unix:||||||",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x11\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02\x01\x00\x02h2": "192.0.2.1|1|192.0.2.1|1|192.0.2.2|2|h2",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00": "unix:||||||",
	} {
		if got := s.Send(sent + get); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%q:\ngot  %s\nwant %s", sent, got, want)
		}
	}
	for _, sent := range []string{get, "PROXY TCP4 192.0.2.1 192.0.2.2 1234\r\n" + get} {
		if got := s.Send(sent); got != "" {
			t.Errorf("%q: got %s", sent, got)
		}
	}
	if log := strings.Join(s.Log.Lines(), "\n"); strings.Count(log, "while reading PROXY protocol, client: unix:, server: ") != 2 {
		t.Error(log)
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"set_real_ip_from 1.2.3.0/99;":   `host not found in set_real_ip_from "1.2.3.0/99" in `,
		"real_ip_recursive maybe;":       `invalid value "maybe" in "real_ip_recursive" directive, it must be "on" or "off" in `,
		"set_real_ip_from 1.2.3.4 more;": `invalid number of arguments in "set_real_ip_from" directive in `,
	} {
		if _, err := webtest.Load(t, modules, text+" server { }"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
