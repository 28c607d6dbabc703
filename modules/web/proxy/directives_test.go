package proxy_test

import (
	"testing"

	"starling/web/webtest"
)

// TestConfigurationErrors: what nginx refuses, in its words.
func TestConfigurationErrors(t *testing.T) {
	tests := []struct{ conf, want string }{
		{`location / { proxy_pass ftp://a; }`, `invalid URL prefix in /test.conf:1`},
		{`location / { proxy_pass http://; }`, `no host in upstream "" in /test.conf:1`},
		{`location / { proxy_pass http://127.0.0.1:0; }`, `invalid port in upstream "127.0.0.1:0" in /test.conf:1`},
		{`location / { proxy_pass http://unix:; }`, `no path in the unix domain socket in upstream "unix:" in /test.conf:1`},
		{
			`location ~ a { proxy_pass http://127.0.0.1/b; }`,
			`"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ` +
				`or inside "if" statement, or inside "limit_except" block in /test.conf:1`,
		},
		{
			`location @a { proxy_pass http://127.0.0.1/; }`,
			`"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ` +
				`or inside "if" statement, or inside "limit_except" block in /test.conf:1`,
		},
		{`proxy_cookie_domain off; proxy_cookie_domain a b;`, `"proxy_cookie_domain" directive is duplicate in /test.conf:1`},
		{`proxy_cookie_domain a b; proxy_cookie_domain off;`, `"proxy_cookie_domain" directive is duplicate in /test.conf:1`},
		{`proxy_cookie_path off; proxy_cookie_path /a /b;`, `"proxy_cookie_path" directive is duplicate in /test.conf:1`},
		{`proxy_cookie_path /a /b; proxy_cookie_path off;`, `"proxy_cookie_path" directive is duplicate in /test.conf:1`},
		{`proxy_cookie_flags off; proxy_cookie_flags a secure;`, `"proxy_cookie_flags" directive is duplicate in /test.conf:1`},
		{`proxy_cookie_flags a secure; proxy_cookie_flags off;`, `"proxy_cookie_flags" directive is duplicate in /test.conf:1`},
		{`location / { proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1; }`, `"proxy_pass" directive is duplicate in /test.conf:1`},
		{
			`location / { proxy_redirect default; proxy_pass http://127.0.0.1; }`,
			`"proxy_redirect default" should be placed after the "proxy_pass" directive in /test.conf:1`,
		},
		{
			`location / { proxy_pass http://$host; proxy_redirect default; }`,
			`"proxy_redirect default" cannot be used with "proxy_pass" directive with variables in /test.conf:1`,
		},
		{`proxy_buffers 1 4k;`, `there must be at least 2 "proxy_buffers" in /test.conf:1`},
		{`proxy_buffer_size 64k;`, `"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer in /test.conf:1`},
		{
			`proxy_max_temp_file_size 1k;`,
			`"proxy_max_temp_file_size" must be equal to zero to disable temporary files usage or must be equal to or greater than ` +
				`the maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers" in /test.conf:1`,
		},
		{`proxy_next_upstream error http_418;`, `invalid value "http_418" in /test.conf:1`},
		{`proxy_http_version 3;`, `invalid value "3" in /test.conf:1`},
		{`proxy_cache one;`, `"proxy_cache" zone "one" is unknown in /test.conf:1`},
		{`proxy_bind 1.2.3.4 transparent;`, `parameter "transparent" is not supported by starling in /test.conf:1`},
		{`location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; }`, `no proxy_ssl_trusted_certificate for proxy_ssl_verify in /test.conf:1`},
	}
	for _, test := range tests {
		_, err := webtest.Load(t, modules, "server { "+test.conf+" }")
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\ngot  %v\nwant %s", test.conf, err, test.want)
		}
	}
}
