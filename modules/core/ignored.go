package core

import (
	"strings"

	"starling/conf"
	"starling/web"
)

// locations are the three levels of http where most of its directives may stand.
const locations = conf.HTTP | conf.Server | conf.Location

// ignored is the one list of directives that are accepted and do nothing, because what they tune does not exist here:
// nginx's event loop and accept lock, its memory pools and hash tables, its temporary files for responses. Their arguments are checked.
var ignored = []struct {
	name, syntax string
	in           conf.Context
	why          string
}{
	{"master_process", "on | off", conf.Main, "there is one process"},
	{"worker_cpu_affinity", "<mask>...", conf.Main, "the kernel places the threads"},
	{"lock_file", "<file>", conf.Main, "there is no lock between processes"},
	{"pcre_jit", "on | off", conf.Main, "regular expressions are not PCRE's"},
	{"timer_resolution", "<interval>", conf.Main, "there is no timer of the event loop"},
	{"thread_pool", "<name> threads=<number> [max_queue=<number>]", conf.Main, "threads are the runtime's"},
	{"env", "<variable>", conf.Main, "the environment is kept as it is"},

	{"worker_connections", "<number>", conf.Events, "connections are bounded by worker_rlimit_nofile"},
	{"use", "<method>", conf.Events, "the runtime knows the best method of each system"},
	{"multi_accept", "on | off", conf.Events, "each listener has a goroutine that accepts"},
	{"accept_mutex", "on | off", conf.Events, "there is no lock between processes"},
	{"accept_mutex_delay", "<time>", conf.Events, "there is no lock between processes"},
	{"worker_aio_requests", "<number>", conf.Events, "there is no asynchronous input of the kernel's"},

	{"proxy_temp_path", "<path> [<level1>] [<level2>] [<level3>]", locations, "responses are streamed, not stored"},
	{"fastcgi_temp_path", "<path> [<level1>] [<level2>] [<level3>]", locations, "there is no FastCGI"},
	{"uwsgi_temp_path", "<path> [<level1>] [<level2>] [<level3>]", locations, "there is no uwsgi"},
	{"scgi_temp_path", "<path> [<level1>] [<level2>] [<level3>]", locations, "there is no SCGI"},
	{"client_body_in_single_buffer", "on | off", locations, "a body that is kept in memory is always in one piece"},
	{"proxy_temp_file_write_size", "<size>", locations, "responses are streamed, not stored"},
	{"proxy_cache_bypass", "<condition>...", locations, "every response comes from the server"},
	{"proxy_no_cache", "<condition>...", locations, "no response is kept"},
	{"proxy_send_lowat", "<size>", locations, "it concerns BSD only"},
	{"gzip_buffers", "<number> <size>", locations, "compression has its own memory"},
	{"ssl_buffer_size", "<size>", conf.HTTP | conf.Server, "the records of a connection are small at first, then of 16 KB"},
	{"connection_pool_size", "<size>", conf.HTTP | conf.Server, "there are no memory pools"},
	{"request_pool_size", "<size>", conf.HTTP | conf.Server, "there are no memory pools"},
	{"output_buffers", "<number> <size>", locations, "the kernel copies files"},
	{"postpone_output", "<size>", locations, "head and body go out together"},
	{"sendfile", "on | off", locations | conf.LocationIf, "files are always sent by the kernel where that is possible"},
	{"sendfile_max_chunk", "<size>", locations, "a file does not hold up other connections"},
	{"tcp_nopush", "on | off", locations, "head and body go out together"},
	{"send_lowat", "<size>", locations, "it concerns BSD only"},
	{"aio", "on|off|threads[=<pool>]", locations, "reading a file does not hold up other connections"},
	{"aio_write", "on | off", locations, "writing a file does not hold up other connections"},
	{"directio", "<size>|off", locations, "files are always read through the page cache"},
	{"directio_alignment", "<size>", locations, "files are always read through the page cache"},
	{"read_ahead", "<size>", locations, "the kernel reads ahead by itself"},
	{"open_file_cache", "off|max=<number> [inactive=<time>]", locations, "files are opened for each request"},
	{"open_file_cache_errors", "on | off", locations, "files are opened for each request"},
	{"open_file_cache_min_uses", "<number>", locations, "files are opened for each request"},
	{"open_file_cache_valid", "<time>", locations, "files are opened for each request"},
	{"msie_padding", "on | off", locations, "the browsers that needed it are gone"},
	{"subrequest_output_buffer_size", "<size>", locations, "what is kept of a subrequest depends on its use"},
	{"server_names_hash_max_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"server_names_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"types_hash_max_size", "<size>", locations, "tables grow as they need"},
	{"types_hash_bucket_size", "<size>", locations, "tables grow as they need"},
	{"variables_hash_max_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"variables_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"map_hash_max_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"map_hash_bucket_size", "<size>", conf.HTTP | conf.Stream, "tables grow as they need"},
	{"proxy_headers_hash_max_size", "<size>", locations, "tables grow as they need"},
	{"proxy_headers_hash_bucket_size", "<size>", locations, "tables grow as they need"},
}

// Ignored is the family of directives without meaning here. It is a function because the list is turned into declarations.
func Ignored() *conf.Module {
	m := &conf.Module{
		Name:  "ignored",
		Doc:   "Directives of nginx that are accepted for compatibility: their arguments are checked, and they have no effect.",
		New:   conf.NewOf[struct{}],
		Clone: conf.CloneOf[struct{}],
	}
	for _, d := range ignored {
		m.Directives = append(m.Directives, conf.Directive{Name: d.name, Syntax: d.syntax, In: d.in,
			Repeat: d.name == "env" || d.name == "thread_pool" || strings.HasPrefix(d.syntax, "<condition>"),
			Doc:    "Accepted for compatibility, no effect: " + d.why + ".",
			Set:    checked(d.syntax)})
	}
	return m
}

// checked is a setter that stores nothing. Of conditions it checks the variables.
func checked(syntax string) conf.Setter {
	if !strings.HasPrefix(syntax, "<condition>") {
		return func(any, *conf.Args) error { return nil }
	}
	return func(_ any, a *conf.Args) error {
		for _, word := range a.Words {
			if _, err := web.Side.Compile(a, word); err != nil {
				return err
			}
		}
		return nil
	}
}
