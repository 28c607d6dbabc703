package conf_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
)

// TestThirdPartyModulesAreNamed: a directive of a module that nginx does not have either is not unknown.
func TestThirdPartyModulesAreNamed(t *testing.T) {
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`http { more_set_headers "X: y"; }`:                            `"more_set_headers" of module "headers-more-nginx-module" is not supported by starling in x.conf:1`,
		`http { lua_shared_dict d 10m; }`:                              `"lua_shared_dict" of module "lua-nginx-module" is not supported by starling in x.conf:1`,
		"http { access_by_lua_block { ngx.say(\"a;b}\") if a then } }": `"access_by_lua_block" of module "lua-nginx-module" is not supported by starling in x.conf:1`,
		`http { vhost_traffic_status_zone; }`:                          `"vhost_traffic_status_zone" of module "nginx-module-vts" is not supported by starling in x.conf:1`,
		`http { more_set_heads; }`:                                     `unknown directive "more_set_heads" in x.conf:1`,
	} {
		tree, _ := conf.Parse(fstest.MapFS{"x.conf": {Data: []byte(text)}}, "/x.conf")
		err := binder.Bind(tree, nil).Err()
		if err == nil {
			t.Fatalf("%s: accepted", text)
		}
		if first, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "/x.conf", "x.conf"), "\n"); want != "" && first != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, first, want)
		}
	}
	for name, want := range map[string]string{
		"more_set_headers": "use add_header, proxy_hide_header and proxy_set_header (module headers-more-nginx-module)",
		"redis2_pass":      "(module ngx_http_redis)",
		"fancyindex":       "use autoindex (",
		"fair":             "use least_conn or least_time (module nginx-upstream-fair)",
		"track_uploads":    "(module nginx-upload-progress-module)",
		"check":            "use health_check (",
		"dav_access":       "WebDAV", // one of nginx

		"app_protect_enable":     "put a firewall for web applications before it (module F5 WAF for NGINX)",
		"app_protect_dos_enable": "(module F5 WAF for NGINX)",
		"auth_gss_realm":         "Kerberos",
		"set_encrypt_session":    "(module encrypted-session-nginx-module)",
		"set_cookie_flag":        "use proxy_cookie_flags",
		"CheckRule":              "(module naxsi)",
		"vod":                    "(module nginx-vod-module)",
	} {
		if got := conf.Instead(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
