package conf_test

import (
	"strings"
	"testing"

	"starling/conf"
)

func TestKnownVariables(t *testing.T) {
	for name, want := range map[string]string{
		"geoip_country_code": "ngx_http_geoip_module", "GEOIP_CITY": "ngx_http_geoip_module", "http_x_y": "ngx_http_core_module",
		"upstream_http_etag": "ngx_http_upstream_module", "jwt_claim_sub": "ngx_http_auth_jwt_module",
		"acme_certificate_key": "ngx_http_acme_module", "oidc_userinfo": "ngx_http_oidc_module", "nowhere": "", "htt": "",
	} {
		if module, known := conf.KnownVariable(name); module != want || known != (want != "") {
			t.Errorf("$%s is of %q, known %v, want %q", name, module, known, want)
		}
	}
}

// TestInstead: whatever nginx knows has an advice, most often that of its module.
func TestInstead(t *testing.T) {
	for name, want := range map[string]string{
		"fastcgi_param": "proxy_pass", "dav_access": "WebDAV", "$geoip_city": "geo",
		"proxy_allow_upstream": "map the variables", "grpc_ssl_key_log": "could decrypt", "transparent": "proxy_protocol on", "kqueue_events": "Go runtime",
		"imap_auth": "keep nginx for mail", "smtp_auth": "keep nginx for mail", "quic": "HTTP/2", "open_file_cache_events": "remove it",
	} {
		if got := conf.Instead(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, k := range conf.KnownDirectives() {
		if conf.Instead(k.Name) == "" {
			t.Errorf("%s has none", k.Name)
		}
	}
}
