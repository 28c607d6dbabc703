package core

import "starling/conf"

// locations are the three levels of http that allow most of its directives.
const locations = conf.HTTP | conf.Server | conf.Location

const (
	perConnection = "the local address is always evaluated for each connection"
	perServer     = "the request is always made for each server"
)

// ignored lists the directives that are accepted and do nothing, because they tune things that starling does not have:
// nginx's event loop and accept lock, its memory pools and hash tables, its temporary files for responses. Their
// arguments are checked.
var ignored = []struct {
	name, syntax string
	in           conf.Context
	why          string
}{
	{"master_process", "on | off", conf.Main, "there is only one process"},
	{"worker_cpu_affinity", masksSyntax, conf.Main, "the kernel schedules threads"},
	{"lock_file", "<file>", conf.Main, "there is only one process"},
	{"pcre_jit", "on | off", conf.Main, "regular expressions do not use PCRE"},
	{"timer_resolution", "<interval>", conf.Main, "there is no event loop timer"},
	{"thread_pool", threadPoolSyntax, conf.Main, "the Go runtime manages threads"},
	{"env", "<variable>", conf.Main, "the environment is unchanged"},
	{"worker_priority", "<number>", conf.Main, "set the priority of the process in its service manager"},
	{"worker_rlimit_core", "<size>", conf.Main, "set the limit of core files in the service manager"},
	{"ssl_object_cache_inheritable", "on | off", conf.Main, "a reload reads all certificates and keys again"},
	{"working_directory", "<directory>", conf.Main, "core files go to the directory in which the process was started"},

	{"worker_connections", "<number>", conf.Events, "worker_rlimit_nofile limits connections"},
	{"use", eventsSyntax, conf.Events, "the Go runtime selects the method"},
	{"multi_accept", "on | off", conf.Events, "each listener has a goroutine that accepts"},
	{"accept_mutex", "on | off", conf.Events, "there is only one process"},
	{"accept_mutex_delay", "<time>", conf.Events, "there is only one process"},
	{"worker_aio_requests", "<number>", conf.Events, "kernel asynchronous I/O is not used"},

	{"fastcgi_temp_path", tempPathSyntax, locations, "FastCGI is not supported"},
	{"uwsgi_temp_path", tempPathSyntax, locations, "uwsgi is not supported"},
	{"scgi_temp_path", tempPathSyntax, locations, "SCGI is not supported"},
	{"client_body_in_single_buffer", "on | off", locations, "a body in memory is always contiguous"},
	{"proxy_temp_file_write_size", "<size>", locations, "responses are streamed, not stored"},
	{"proxy_send_lowat", "<size>", locations, "it applies only to BSD"},
	{"gzip_buffers", buffersSyntax, locations, "compression manages its own memory"},
	{"gunzip_buffers", buffersSyntax, locations, "decompression manages its own memory"},
	{"ssi_min_file_chunk", "<size>", locations, "pages are processed in memory, not in files"},
	{"gzip_window", "<size>", locations, "compression manages its own memory"},
	{"gzip_hash", "<size>", locations, "compression manages its own memory"},
	{"gzip_no_buffer", "on | off", locations, "compression manages its own memory"},
	{"postpone_gzipping", "<size>", locations, "compression manages its own memory"},
	{"ssi_ignore_recycled_buffers", "on | off", locations, "pages are processed in memory, not in shared buffers"},
	{"http2_pool_size", "<size>", conf.HTTP | conf.Server, "memory pools are not used"},
	{"http2_streams_index_size", "<number>", conf.HTTP | conf.Server, "hash tables grow as needed"},
	{"open_file_cache_events", "on | off", locations, "files are opened for each request"},
	{"proxy_bind_dynamic", "on | off", locations | conf.Stream | conf.StreamServer, perConnection},
	{"grpc_bind_dynamic", "on | off", locations, perConnection},
	{"memcached_bind_dynamic", "on | off", locations, perConnection},
	{"proxy_request_dynamic", "on | off", locations, perServer},
	{"grpc_request_dynamic", "on | off", locations, perServer},
	{"ssl_buffer_size", "<size>", conf.HTTP | conf.Server, "TLS records grow from small to 16 KB"},
	{"connection_pool_size", "<size>", conf.HTTP | conf.Server, "memory pools are not used"},
	{"request_pool_size", "<size>", conf.HTTP | conf.Server, "memory pools are not used"},
	{"output_buffers", buffersSyntax, locations, "files are sent with sendfile"},
	{"postpone_output", "<size>", locations, "headers and body are sent together"},
	{"sendfile", "on | off", locationsIf, "sendfile is always used where possible"},
	{"sendfile_max_chunk", "<size>", locations, "sending a file does not block other connections"},
	{"tcp_nopush", "on | off", locations, "headers and body are sent together"},
	{"send_lowat", "<size>", locations, "it applies only to BSD"},
	{"aio", "on|off|threads[=<pool>]", locations, "reading a file does not block other connections"},
	{"aio_write", "on | off", locations, "writing a file does not block other connections"},
	{"directio", directSyntax, locations, "files are always read through the page cache"},
	{"directio_alignment", "<size>", locations, "files are always read through the page cache"},
	{"read_ahead", "<size>", locations, "the kernel manages readahead"},
	{"open_file_cache", fileCacheSyntax, locations, "files are opened for each request"},
	{"open_file_cache_errors", "on | off", locations, "files are opened for each request"},
	{"open_file_cache_min_uses", "<number>", locations, "files are opened for each request"},
	{"open_file_cache_valid", "<time>", locations, "files are opened for each request"},
	{"server_names_hash_max_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"server_names_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"types_hash_max_size", "<size>", locations, "hash tables grow as needed"},
	{"types_hash_bucket_size", "<size>", locations, "hash tables grow as needed"},
	{"variables_hash_max_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"variables_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"map_hash_max_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"map_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "hash tables grow as needed"},
	{"referer_hash_max_size", "<size>", conf.Server | conf.Location, "hash tables grow as needed"},
	{"referer_hash_bucket_size", "<size>", conf.Server | conf.Location, "hash tables grow as needed"},
	{"proxy_headers_hash_max_size", "<size>", locations, "hash tables grow as needed"},
	{"proxy_headers_hash_bucket_size", "<size>", locations, "hash tables grow as needed"},
}

// Ignored is the family of directives without effect. It is a function because it turns the list into declarations.
func Ignored() *conf.Module {
	m := &conf.Module{
		Name: "ignored",
		Doc: "Directives of nginx that are accepted for compatibility: their arguments are checked, and they have " +
			"no effect.",
		New:   conf.NewOf[struct{}],
		Clone: conf.CloneOf[struct{}],
	}
	for _, d := range ignored {
		m.Directives = append(m.Directives, conf.Directive{Name: d.name, Syntax: d.syntax, In: d.in, NoEffect: true,
			Repeat: d.name == "env" || d.name == "thread_pool",
			Doc:    noEffect + d.why + ".",
			Set:    checked(d.syntax, d.why)})
	}
	m.Directives = append(m.Directives, obsolete()...)
	m.Directives = append(m.Directives, loadModule, mgmt)
	return m
}

const noEffect = "Accepted for compatibility, no effect: "

// checked is a setter that stores nothing. It checks what nginx checks.
func checked(syntax, why string) conf.Setter {
	return func(_ any, a *conf.Args) error {
		a.Ignore(why)
		return checkValue(syntax, a)
	}
}
