package conf

// instead has the advice for a directive or parameter that starling does not have, if that of its module in
// insteadOfModule does not fit. It takes precedence.
var instead = map[string]string{
	"ssl_engine":       "use keys in files, or a server that has the engine behind a stream proxy",
	"ssl_ech_file":     "remove it: clients then send server names unencrypted",
	"debug_connection": "remove it, or use error_log with level debug",
	"debug_points":     "remove it: it is for debugging nginx itself",
	"quic":             "remove it: clients use HTTP/2",
	"quic_bpf":         "remove it: clients use HTTP/2",
	"load_module":      "remove the line if nothing needs the module",
	"data:":            "write the text into a file and name that",
	"engine:":          "use a file, or a server that has the engine behind a stream proxy",
	"store:":           "use a file",
	"memory:":          "use error_log with a file and level debug",
	"error_log_tag":    "use access_log with the variable: lines of both logs have the connection's number",
	"stall_threshold":  "remove it: there is no event loop that can stall",
	"num_map":          "use map with regular expressions",

	"proxy_allow_upstream":     allowedServers,
	"grpc_allow_upstream":      allowedServers,
	"memcached_allow_upstream": allowedServers,

	"ssl_key_log":       noKeyLog,
	"proxy_ssl_key_log": noKeyLog,
	"grpc_ssl_key_log":  noKeyLog,

	"proxy_socket_rcvbuf": kernelBuffers,
	"proxy_socket_sndbuf": kernelBuffers,
	"grpc_socket_rcvbuf":  kernelBuffers,
	"grpc_socket_sndbuf":  kernelBuffers,

	"transparent": "pass the client's address in a header (X-Forwarded-For), in stream with proxy_protocol on: " +
		"connecting from foreign addresses needs the privileges of root and routes of the host",
	"proxy_downstream_buffer": "use proxy_buffer_size",
	"proxy_upstream_buffer":   "use proxy_buffer_size",
	"proxy_session_drop": "remove it: sessions to a server that was removed end with their clients or by " +
		"proxy_timeout",

	"setfib": "remove it: it applies only to FreeBSD",
	"tcp":    "remove it: a name server is asked over TCP when an answer is too long for UDP",
	"local":  "remove it, and let the routes of the host decide",
}

const (
	allowedServers = "allow only known servers: map the variables of the address to names of upstream blocks"
	noKeyLog       = "remove it, and capture traffic on a side without TLS: readers of the file could decrypt all"
	kernelBuffers  = "remove it: the kernel sizes the buffers (net.ipv4.tcp_rmem, tcp_wmem)"
	goRuntime      = "remove it: the Go runtime waits for sockets"
)

var insteadOfModule = map[string]string{
	"ngx_http_acme_module":         "use an ACME client, such as certbot or lego, and reload",
	"ngx_http_api_module":          "use the API and metrics",
	"ngx_http_auth_jwt_module":     "use auth_request with a service that checks the token",
	"ngx_http_auth_require_module": "use auth_request, or map with return 403",
	"ngx_http_dav_module":          "use a WebDAV server through proxy_pass",
	"ngx_http_f4f_module":          "serve the files as they are",
	"ngx_http_fastcgi_module": "run an HTTP server beside the application (for PHP: FrankenPHP, Caddy or nginx) " +
		"and use proxy_pass",
	"ngx_http_flv_module":               "serve the files as they are",
	"ngx_http_geoip_module":             "use geo or map with the address ranges, or a service with auth_request",
	"ngx_stream_geoip_module":           "use geo or map with the address ranges",
	"ngx_http_hls_module":               "serve the files as they are",
	"ngx_http_image_module":             "resize images in a service behind proxy_pass",
	"ngx_http_internal_redirect_module": "use error_page or rewrite",
	"ngx_http_js_module":                "move the code to a service and use auth_request or proxy_pass",
	"ngx_stream_js_module":              "move the code to a service",
	"ngx_http_mp4_module":               "serve the files as they are: players ask for ranges",
	"ngx_http_oidc_module":              "use auth_request with an OpenID Connect proxy, such as oauth2-proxy",
	"ngx_http_perl_module":              "move the code to a service and use auth_request or proxy_pass",
	"ngx_http_scgi_module":              "run an HTTP server beside the application and use proxy_pass",
	"ngx_http_session_log_module":       "use access_log",
	"ngx_http_tunnel_module":            "use a forward proxy, such as Squid",
	"ngx_http_uwsgi_module":             "let uWSGI speak HTTP (http-socket) and use proxy_pass",
	"ngx_http_v3_module":                "remove it: clients use HTTP/2",
	"ngx_http_xslt_module":              "let the application transform the response",
	"ngx_stream_mqtt_filter_module":     "balance by address: hash $remote_addr",
	"ngx_stream_mqtt_preread_module":    "balance by address: hash $remote_addr",
	"ngx_mail_core_module":              "keep nginx for mail",
	"ngx_google_perftools_module":       "remove it: it profiles nginx's own memory",
	"ngx_http_degradation_module":       "remove it: it is about nginx's own memory",
	"ngx_mgmt_module":                   "remove it: no licence is needed",
	"ngx_devpoll_module":                goRuntime,
	"ngx_epoll_module":                  goRuntime,
	"ngx_eventport_module":              goRuntime,
	"ngx_iocp_module":                   goRuntime,
	"ngx_kqueue_module":                 goRuntime,
}

// insteadElsewhere is for all that has no advice of its own.
const insteadElsewhere = "remove it, or keep nginx for this part"

// Instead says what to do in place of a directive, parameter or variable ("$name") that nginx has and starling does
// not.
func Instead(name string) string {
	if text := instead[name]; text != "" {
		return text
	}
	if module := moduleOfVariable(name); module != "" {
		if text := insteadOfModule[module]; text != "" {
			return text
		}
		return insteadElsewhere
	}
	if of := thirdParty(name); of != nil && knownIn()[name] == 0 {
		return of.instead + " (module " + of.module + ")"
	}
	for _, k := range KnownDirectives() {
		if k.Name != name {
			continue
		}
		if text := insteadOfModule[k.Module]; text != "" {
			return text
		}
		if k.In&^otherContext == 0 || k.Name == "mail" {
			return insteadOfModule["ngx_mail_core_module"]
		}
	}
	return insteadElsewhere
}
