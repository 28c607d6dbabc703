package modules_test

import (
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/gzip"
	"starling/modules/web/proxy"
	"starling/modules/web/ssl"
	"starling/modules/web/userid"
	"starling/web"
	"starling/web/webtest"
)

// TestWordsHaveNoCase: as in nginx, a word out of a list can be written in any case.
func TestWordsHaveNoCase(t *testing.T) {
	for _, line := range []string{
		"proxy_next_upstream ERROR Timeout Http_500;", "proxy_next_upstream OFF;", "proxy_cache_use_stale ERROR Updating;",
		"proxy_cache_methods get Post;", "proxy_ignore_headers x-accel-expires VARY;", "gzip_proxied Any;", "userid_flags OFF;",
		"userid_flags Secure SameSite=Lax;", "ssl_protocols tlsv1.2 TLSV1.3;", "proxy_ssl_protocols tlsv1.2;", "satisfy ANY;",
		"lingering_close Always;", "keepalive_disable MSIE6;", "if_modified_since Before;", "gzip_http_version 1.0;",
	} {
		all := []*web.Module{&core.Module, &ssl.Module, &gzip.Module, &proxy.Module, &userid.Module}
		if _, err := webtest.Load(t, all, line+` server { location / { proxy_pass http://127.0.0.1:1; } }`); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
