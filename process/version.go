package process

import (
	"fmt"
	"runtime"
	"strings"

	"starling/conf"
	"starling/cycle"
	"starling/nginx/version"
	"starling/plan"
)

// feature is a module of nginx's configure script and a directive that only it has: starling has the feature if the
// directive is declared for that context and does more than accept "off".
type feature struct {
	name      string
	directive string
	in        conf.Context
}

// standard features are in nginx unless --without is given; extra ones only with --with. Test suites and installers
// read the list, so it is derived, not written.
var (
	standard = []feature{
		{"http_charset_module", "charset", conf.HTTP},
		{"http_gzip_module", "gzip", conf.HTTP},
		{"http_ssi_module", "ssi", conf.HTTP},
		{"http_userid_module", "userid", conf.HTTP},
		{"http_access_module", "allow", conf.HTTP},
		{"http_auth_basic_module", "auth_basic", conf.HTTP},
		{"http_mirror_module", "mirror", conf.HTTP},
		{"http_autoindex_module", "autoindex", conf.HTTP},
		{"http_geo_module", "geo", conf.HTTP},
		{"http_map_module", "map", conf.HTTP},
		{"http_split_clients_module", "split_clients", conf.HTTP},
		{"http_referer_module", "valid_referers", conf.Server},
		{"http_rewrite_module", "rewrite", conf.Server},
		{"http_proxy_module", "proxy_pass", conf.Location},
		{"http_fastcgi_module", "fastcgi_pass", conf.Location},
		{"http_uwsgi_module", "uwsgi_pass", conf.Location},
		{"http_scgi_module", "scgi_pass", conf.Location},
		{"http_grpc_module", "grpc_pass", conf.Location},
		{"http_tunnel_module", "tunnel_pass", conf.Location},
		{"http_memcached_module", "memcached_pass", conf.Location},
		{"http_limit_conn_module", "limit_conn", conf.HTTP},
		{"http_limit_req_module", "limit_req", conf.HTTP},
		{"http_empty_gif_module", "empty_gif", conf.Location},
		{"http_browser_module", "ancient_browser", conf.HTTP},
		{"http_upstream_hash_module", "hash", conf.Upstream},
		{"http_upstream_ip_hash_module", "ip_hash", conf.Upstream},
		{"http_upstream_least_conn_module", "least_conn", conf.Upstream},
		{"http_upstream_least_time_module", "least_time", conf.Upstream},
		{"http_upstream_random_module", "random", conf.Upstream},
		{"http_upstream_keepalive_module", "keepalive", conf.Upstream},
		{"http_upstream_sticky_module", "sticky", conf.Upstream},
		{"http_upstream_zone_module", "zone", conf.Upstream},
		{"http-cache", "proxy_cache", conf.HTTP},
	}
	standardStream = []feature{
		{"stream_limit_conn_module", "limit_conn", conf.Stream},
		{"stream_access_module", "allow", conf.Stream},
		{"stream_geo_module", "geo", conf.Stream},
		{"stream_map_module", "map", conf.Stream},
		{"stream_split_clients_module", "split_clients", conf.Stream},
		{"stream_return_module", "return", conf.StreamServer},
		{"stream_pass_module", "pass", conf.StreamServer},
		{"stream_set_module", "set", conf.StreamServer},
		{"stream_upstream_hash_module", "hash", conf.StreamUpstream},
		{"stream_upstream_least_conn_module", "least_conn", conf.StreamUpstream},
		{"stream_upstream_least_time_module", "least_time", conf.StreamUpstream},
		{"stream_upstream_random_module", "random", conf.StreamUpstream},
		{"stream_upstream_zone_module", "zone", conf.StreamUpstream},
	}
	extra = []feature{
		{"http_ssl_module", "ssl_certificate", conf.HTTP},
		{"http_v2_module", "http2", conf.HTTP},
		{"http_realip_module", "set_real_ip_from", conf.HTTP},
		{"http_stub_status_module", "stub_status", conf.Location},
		{"http_sub_module", "sub_filter", conf.HTTP},
		{"http_addition_module", "add_after_body", conf.HTTP},
		{"http_slice_module", "slice", conf.HTTP},
		{"http_gunzip_module", "gunzip", conf.HTTP},
		{"http_gzip_static_module", "gzip_static", conf.HTTP},
		{"http_auth_request_module", "auth_request", conf.HTTP},
		{"http_random_index_module", "random_index", conf.Location},
		{"http_secure_link_module", "secure_link", conf.HTTP},
		{"stream_ssl_module", "ssl_certificate", conf.Stream},
		{"stream_ssl_preread_module", "ssl_preread", conf.Stream},
		{"stream_realip_module", "set_real_ip_from", conf.Stream},
	}
)

// configureArguments describes this program with the arguments of nginx's configure script.
func configureArguments(modules []*conf.Module) string {
	declared := func(f feature) bool {
		for _, m := range modules {
			for i := range m.Directives {
				if d := &m.Directives[i]; d.Name == f.directive && d.In&f.in != 0 && d.Refused == "" {
					return true
				}
			}
		}
		return false
	}
	paths := plan.SystemPaths()
	words := []string{"--prefix=" + DefaultPrefix, "--conf-path=" + DefaultPrefix + DefaultConf,
		"--error-log-path=" + paths.ErrorLog, "--http-log-path=" + paths.AccessLog, "--pid-path=" + paths.PID,
		"--http-client-body-temp-path=" + paths.Bodies, "--http-proxy-temp-path=" + paths.Responses,
		"--with-stream"}
	for _, f := range extra {
		if declared(f) {
			words = append(words, "--with-"+f.name)
		}
	}
	for _, list := range [][]feature{standard, standardStream} {
		for _, f := range list {
			if !declared(f) {
				words = append(words, "--without-"+f.name)
			}
		}
	}
	return strings.Join(words, " ")
}

// versionText is what -v prints, buildText what -V adds.
func versionText() string {
	return fmt.Sprintf("nginx version: nginx/%s (%s)\n", version.Nginx, version.Server)
}

func buildText() string {
	return fmt.Sprintf(
		"built by %s\nbuilt with Go crypto/tls (configured like nginx with OpenSSL 3.0.0)\nTLS SNI support "+
			"enabled\nconfigure arguments: %s\n",
		runtime.Version(),
		configureArguments(cycle.All()),
	)
}
