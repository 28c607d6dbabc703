package core_test

import (
	"testing"

	"starling/web/webtest"
)

// The messages are nginx's, and the lines those of the text (which begins on the line of "http {").
func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		`server { say ok; }`:                                                        "",
		`server { say $nothing; }`:                                                  `unknown "nothing" variable in /test.conf:1`,
		"\nserver {\nlocation / { }\nlocation / { }\n}":                             `duplicate location "/" in /test.conf:4`,
		`server { location = /a { location /a/b { } } }`:                            `location "/a/b" cannot be inside the exact location "/a" in /test.conf:1`,
		`server { location @a { location /b { } } }`:                                `location "/b" cannot be inside the named location "@a" in /test.conf:1`,
		`server { location /a { location @b { } } }`:                                `named location "@b" can be on the server level only in /test.conf:1`,
		`server { location /a { location /b { } } }`:                                `location "/b" is outside location "/a" in /test.conf:1`,
		"server { location / { say $later; } }\nserver { listen 80 backlog=x; }":    `invalid backlog "backlog=x" in /test.conf:2`,
		"server { location / { say $later; } }\nserver { location ~ \"(\" { } }":    `unknown "later" variable in /test.conf:1`,
		`server { location ~ /a { location /b { } } }`:                              `location "/b" is outside location "/a" in /test.conf:1`,
		`server { location !~ /a { } }`:                                             `invalid location modifier "!~" in /test.conf:1`,
		`server { location ~ "(a" { } }`:                                            `pcre2_compile() failed: missing closing parenthesis in "(a" in /test.conf:1`,
		`server { listen 80 ssl; }`:                                                 `no "ssl_certificate" is defined for the "listen ... ssl" directive in /test.conf:1`,
		`server { listen 80 quic; }`:                                                `parameter "quic" is not supported by starling in /test.conf:1`,
		`server { listen 80 backlog=x; }`:                                           `invalid backlog "backlog=x" in /test.conf:1`,
		`server { listen 80 nonsense; }`:                                            `invalid parameter "nonsense" in /test.conf:1`,
		`server { listen 80; listen 80; }`:                                          `a duplicate listen 0.0.0.0:80 in /test.conf:1`,
		`server { listen 99999; }`:                                                  `invalid port in "99999" of the "listen" directive in /test.conf:1`,
		`server { listen 80 default_server; } server { listen 80 default_server; }`: `a duplicate default server for 0.0.0.0:80 in /test.conf:1`,
		`server { listen 80 backlog=5; } server { listen 80 backlog=6; }`:           `duplicate listen options for 0.0.0.0:80 in /test.conf:1`,
		`server { server_name *a; }`:                                                `server name "*a" is invalid in /test.conf:1`,
		`server { listen 80; server_name a.*.b; }`:                                  `invalid server name or wildcard "a.*.b" on 0.0.0.0:80 in /test.conf:1`,
		`server { server_name ~; }`:                                                 `empty regex in server name "~" in /test.conf:1`,
		`error_page 200 /x;`:                                                        `value "200" must be between 300 and 599 in /test.conf:1`,
		`error_page =200 /x;`:                                                       `invalid value "=200" in /test.conf:1`,
		`error_page 499 /x;`:                                                        `invalid value "499" in /test.conf:1`,
		`error_page 404;`:                                                           `invalid number of arguments in "error_page" directive in /test.conf:1`,
		`keepalive_timeout x;`:                                                      `"keepalive_timeout" directive invalid value in /test.conf:1`,
		`client_max_body_size x;`:                                                   `"client_max_body_size" directive invalid value in /test.conf:1`,
		`satisfy some;`:                                                             `invalid value "some" in /test.conf:1`,
		`resolver 127.0.0.1 ipv6=x;`:                                                `invalid parameter: ipv6=x in /test.conf:1`,
		`resolver 127.0.0.1 ipv4=;`:                                                 `invalid parameter: ipv4= in /test.conf:1`,
		`server_tokens $nosuch;`:                                                    `unknown "nosuch" variable in /test.conf:1`,
		`root $document_root/x;`:                                                    `the $document_root variable cannot be used in the "root" directive in /test.conf:1`,
		`root /a; root /b;`:                                                         `"root" directive is duplicate in /test.conf:1`,
		`server { location /a { root /a; alias /b; } }`:                             `"alias" directive is duplicate, "root" directive was specified earlier in /test.conf:1`,
		`server { location @a { alias /b; } }`:                                      `the "alias" directive cannot be used inside the named location in /test.conf:1`,
		`server { location / { limit_except NONE { } } }`:                           `invalid method "NONE" in /test.conf:1`,
		`absolute_redirect maybe;`:                                                  `invalid value "maybe" in "absolute_redirect" directive, it must be "on" or "off" in /test.conf:1`,
		`disable_symlinks from=/x;`:                                                 `"disable_symlinks" must have "off", "on" or "if_not_owner" parameter in /test.conf:1`,
		`disable_symlinks off from=/x;`:                                             `"from=" cannot be used with "off" parameter in /test.conf:1`,
		`disable_symlinks some;`:                                                    `invalid parameter "some" in /test.conf:1`,
		`disable_symlinks on off;`:                                                  `duplicate parameter "off" in /test.conf:1`,
		`disable_symlinks from=/x on; root $nosuch;`:                                `unknown "nosuch" variable in /test.conf:1`,
		`disable_symlinks on from=$nosuch;`:                                         `unknown "nosuch" variable in /test.conf:1`,
		`lingering_close 5;`:                                                        `invalid value "5" in /test.conf:1`,
	} {
		got := ""
		if _, err := webtest.Load(t, modules, text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
