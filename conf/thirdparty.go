package conf

import (
	"slices"
	"strings"
)

// addon is a module for nginx that neither nginx nor NGINX Plus has built in, and starling does not support.
type addon struct {
	module string
	// names are its directives; a star stands for any beginning or end.
	names []string
	// instead says what to do without it.
	instead string
}

// thirdParties are the modules that public configurations use most, by the names of their projects. A directive of
// theirs is "not supported", with what to do, rather than unknown.
var thirdParties = []addon{
	{"headers-more-nginx-module", []string{"more_set_headers", "more_clear_headers", "more_set_input_headers",
		"more_clear_input_headers"}, "use add_header, proxy_hide_header and proxy_set_header"},
	{"lua-nginx-module", []string{"lua_*", "*_by_lua", "*_by_lua_block", "*_by_lua_file"},
		"use limit_req, keyval and map with sync, or move the code to a service and use auth_request"},
	{"lua-upstream-nginx-module", []string{"lua_upstream_*"}, "change servers through the API"},
	{"zstd-nginx-module", []string{"zstd_dict_file"}, "remove it: clients have no dictionary"},
	{"nginx-module-vts", []string{"vhost_traffic_status*", "server_traffic_status*"},
		"use status_zone, the API and metrics"},
	{"nginx-module-sts", []string{"stream_server_traffic_status*"}, "use status_zone, the API and metrics"},
	{"ModSecurity-nginx", []string{"modsecurity", "modsecurity_*"}, "put a firewall for web applications before it"},
	{"F5 WAF for NGINX", []string{"app_protect_*"}, "put a firewall for web applications before it"},
	{"naxsi", []string{"SecRulesEnabled", "SecRulesDisabled", "LearningMode", "MainRule", "BasicRule", "CheckRule",
		"DeniedUrl"}, "put a firewall for web applications before it"},
	{"spnego-http-auth-nginx-module", []string{"auth_gss", "auth_gss_*"},
		"use auth_request with a service for Kerberos"},
	{"encrypted-session-nginx-module", []string{"encrypted_session_*", "set_encrypt_session", "set_decrypt_session"},
		"let the application do it"},
	{"nginx_cookie_flag_module", []string{"set_cookie_flag"}, "use proxy_cookie_flags"},
	{"nginx-datadog", []string{"datadog_*"}, "use otel_trace"},
	{"nginx-vod-module", []string{"vod", "vod_*"}, "serve the files as they are, or keep nginx for them"},
	{"ngx_cache_purge", []string{"fastcgi_cache_purge", "uwsgi_cache_purge", "scgi_cache_purge"},
		"put a cache, such as Varnish, between starling and the servers"},
	{"ngx_http_redis", []string{"redis_pass", "redis_*", "redis2_*"},
		"use keyval with sync (docs/guides/from-nginx-with-redis.md), or memcached_pass"},
	{"srcache-nginx-module", []string{"srcache_*"}, "use proxy_cache"},
	{"echo-nginx-module", []string{"echo", "echo_*"}, "use return"},
	{"set-misc-nginx-module", []string{"set_escape_uri", "set_unescape_uri", "set_quote_*", "set_encode_*",
		"set_decode_*", "set_hmac_*", "set_sha1", "set_md5", "set_random", "set_secure_random_*", "set_if_empty"},
		"use map and set, or let the application do it"},
	{"nginx_upstream_check_module", []string{"check", "check_*"}, "use health_check"},
	{"nginx-sticky-module", []string{"session_sticky*"}, "use sticky"},
	{"nginx-upstream-dynamic-servers", []string{"dyups_*", "dynamic_upstream"}, "change servers through the API"},
	{"nginx-rtmp-module", []string{"rtmp", "rtmp_*"}, "keep nginx for RTMP"},
	{"nchan", []string{"nchan_*", "push_stream_*"}, "use a service for messages behind proxy_pass"},
	{"nginx-auth-ldap", []string{"auth_ldap", "auth_ldap_*", "ldap_server"},
		"use auth_request with a service for LDAP"},
	{"ngx_http_auth_pam_module", []string{"auth_pam", "auth_pam_*"}, "use auth_request with a service for PAM"},
	{"nginx-http-shibboleth", []string{"shib_request", "shib_request_*"}, "use auth_request"},
	{"nginx-http-auth-digest", []string{"auth_digest", "auth_digest_*"}, "use auth_basic over TLS"},
	{"nginx-opentracing", []string{"opentracing", "opentracing_*"}, "use otel_trace"},
	{"opentelemetry-webserver-sdk", []string{"opentelemetry", "opentelemetry_*", "NginxModule*"}, "use otel_trace"},
	{"ngx-fancyindex", []string{"fancyindex", "fancyindex_*"}, "use autoindex"},
	{"nginx-upload-module", []string{"upload_*"}, "let the application take uploads"},
	{"ngx_pagespeed", []string{"pagespeed"}, "let the application optimize its pages"},
	{"passenger", []string{"passenger_*"}, "run the application's own server and use proxy_pass"},
	{"ngx_http_substitutions_filter_module", []string{"subs_filter", "subs_filter_*"}, "use sub_filter"},
	{"nginx-dav-ext-module", []string{"dav_ext_*"}, "use a WebDAV server through proxy_pass"},
	{"nginx-upload-progress-module", []string{"track_uploads", "report_uploads"},
		"let the application count its uploads"},
	{"nginx-upstream-fair", []string{"fair", "upstream_fair_*"}, "use least_conn or least_time"},
	{"memc-nginx-module", []string{"memc_*"}, "use memcached_pass"},
	{"testcookie-nginx-module", []string{"testcookie", "testcookie_*"}, "use auth_request with a service that checks"},
}

// thirdParty finds the module of a directive, nil if it is of none.
func thirdParty(name string) *addon {
	for i := range thirdParties {
		for _, pattern := range thirdParties[i].names {
			if matchesPattern(pattern, name) {
				return &thirdParties[i]
			}
		}
	}
	return nil
}

// matchesPattern allows a star at one end.
func matchesPattern(pattern, name string) bool {
	if rest, leading := strings.CutPrefix(pattern, "*"); leading {
		return strings.HasSuffix(name, rest)
	}
	if rest, trailing := strings.CutSuffix(pattern, "*"); trailing {
		return strings.HasPrefix(name, rest)
	}
	return name == pattern
}

// thirdPartyFiles are the files of these modules, as distributions load them. Some of them need ndk, which does nothing
// itself; fips_check only writes a line to the log.
var thirdPartyFiles = []string{
	"ndk_http_module", "ngx_fips_check_module", "ngx_http_app_protect_dos_module", "ngx_http_app_protect_module",
	"ngx_http_auth_digest_module", "ngx_http_auth_ldap_module", "ngx_http_auth_pam_module",
	"ngx_http_auth_spnego_module", "ngx_http_cache_purge_module", "ngx_http_cookie_flag_filter_module",
	"ngx_http_datadog_module", "ngx_http_dav_ext_module", "ngx_http_echo_module",
	"ngx_http_encrypted_session_module", "ngx_http_fancyindex_module", "ngx_http_headers_more_filter_module",
	"ngx_http_lua_module", "ngx_http_lua_upstream_module", "ngx_http_memc_module", "ngx_http_modsecurity_module",
	"ngx_http_naxsi_module", "ngx_http_opentracing_module", "ngx_http_passenger_module", "ngx_http_redis2_module",
	"ngx_http_redis_module", "ngx_http_set_misc_module", "ngx_http_shibboleth_module",
	"ngx_http_srcache_filter_module", "ngx_http_stream_server_traffic_status_module",
	"ngx_http_subs_filter_module", "ngx_http_testcookie_access_module", "ngx_http_upload_module",
	"ngx_http_uploadprogress_module", "ngx_http_upstream_fair_module", "ngx_http_vhost_traffic_status_module",
	"ngx_http_vod_module", "ngx_nchan_module", "ngx_pagespeed", "ngx_rtmp_module", "ngx_stream_lua_module",
	"ngx_stream_server_traffic_status_module",
}

// IsThirdParty reports whether a file (without ".so") is a module of others that has no effect but its directives.
func IsThirdParty(file string) bool { return slices.Contains(thirdPartyFiles, file) }
