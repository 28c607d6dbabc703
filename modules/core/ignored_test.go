package core_test

import (
	"maps"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/core"
)

// TestModulesOfDebian: what its nginx.conf can load from modules-enabled keeps nothing from starting.
func TestModulesOfDebian(t *testing.T) {
	for _, name := range strings.Fields(`ndk_http ngx_http_auth_pam ngx_http_brotli_filter ngx_http_brotli_static
		ngx_http_cache_purge ngx_http_dav_ext ngx_http_echo ngx_http_fancyindex ngx_http_geoip2 ngx_http_geoip
		ngx_http_headers_more_filter ngx_http_image_filter ngx_http_lua ngx_http_modsecurity ngx_http_perl
		ngx_http_subs_filter ngx_http_uploadprogress ngx_http_upstream_fair ngx_http_xslt_filter ngx_mail ngx_nchan
		ngx_rtmp ngx_stream_geoip2 ngx_stream_geoip ngx_stream`) {
		got := bind(t, "load_module modules/"+name+"_module.so;")
		if err := got.Err(); err != nil || len(got.Warnings)+len(got.Ignored) != 1 {
			t.Errorf("%s: %v, %v, %v", name, err, got.Warnings, got.Ignored)
		}
	}
}

// Whatever is accepted without effect is either reported as ignored or warned of.
func TestNothingIsIgnoredWithoutAWord(t *testing.T) {
	for _, c := range []struct{ text, problem, warning, ignored string }{
		{text: "worker_priority -5;", ignored: "set the priority of the process in its service manager"},
		{text: "worker_priority x;", problem: `"worker_priority" directive invalid number in /n.conf:1`, ignored: "set the priority of the process in its service manager"},
		{text: "worker_rlimit_core 1x;", problem: `"worker_rlimit_core" directive invalid value in /n.conf:1`, ignored: "set the limit of core files in the service manager"},
		{text: "worker_rlimit_core 2g;", ignored: "set the limit of core files in the service manager"},
		{text: "timer_resolution soon;", problem: `"timer_resolution" directive invalid value in /n.conf:1`, ignored: "there is no event loop timer"},
		{text: "http { sendfile on; }", ignored: "sendfile is always used where possible"},
		{text: "mgmt { license_token a.jwt; usage_report interval=1h; }", ignored: "there is no licence, and nothing is reported"},
		{text: "mgmt { a { } }", problem: `unexpected "{" in /n.conf:1`},
		{text: "load_module modules/ngx_stream_module.so;", ignored: `module "ngx_stream_module" is built in`},
		{text: "load_module modules/ngx_http_geoip2_module.so;", ignored: `module "ngx_http_geoip2_module" is built in`},
		{text: "load_module modules/ngx_http_brotli_static_module.so;", ignored: `module "ngx_http_brotli_static_module" is built in`},
		{
			text:    "load_module /usr/lib/nginx/modules/ngx_mail_module.so;",
			warning: `module "ngx_mail_module" is not supported by starling; directives of it are rejected in /n.conf:1`,
		},
		{
			text:    "load_module modules/ngx_http_image_filter_module.so;",
			warning: `module "ngx_http_image_filter_module" is not supported by starling; directives of it are rejected in /n.conf:1`,
		},
		{ // of Debian
			text:    "load_module modules/ngx_http_echo_module.so;",
			warning: `module "ngx_http_echo_module" is not supported by starling; directives of it are rejected in /n.conf:1`,
		},
		{
			text:    "load_module modules/ngx_acme.so;",
			problem: `module "ngx_acme" is not supported by starling in /n.conf:1`,
		},
		{text: "worker_priority -1;", ignored: "set the priority of the process in its service manager"},
		{text: "http { } load_module x.so;", problem: `"load_module" directive is specified too late in /n.conf:1`},
		{text: "http { http2_push /a.css; }", warning: `the "http2_push" directive is obsolete, ignored in /n.conf:1`},
		{text: "http { http2_push_preload maybe; }", warning: `the "http2_push_preload" directive is obsolete, ignored in /n.conf:1`},
		{text: "http { server { http2_push_preload on; } }", warning: `the "http2_push_preload" directive is obsolete, ignored in /n.conf:1`},
	} {
		got := bind(t, c.text)
		var problem, warning, ignored string
		if err := got.Err(); err != nil {
			problem = err.Error()
		}
		if len(got.Warnings) > 0 {
			warning = got.Warnings[0].Error()
		}
		if len(got.Ignored) > 0 {
			ignored = got.Ignored[0].Why
		}
		if problem != c.problem || warning != c.warning || ignored != c.ignored {
			t.Errorf("%s\nproblem %q\nwarning %q\nignored %q", c.text, problem, warning, ignored)
		}
	}
}

// TestValuesWithoutEffect: they are wrong where they are in nginx.
func TestValuesWithoutEffect(t *testing.T) {
	for text, want := range map[string]string{
		"http { gzip_buffers x 8k; }":              `"gzip_buffers" directive invalid value in /n.conf:1`,
		"http { output_buffers 2 0; }":             `"output_buffers" directive invalid value in /n.conf:1`,
		"http { uwsgi_temp_path /tmp 1 x; }":       `"uwsgi_temp_path" directive invalid value in /n.conf:1`,
		"http { directio 4x; }":                    `"directio" directive invalid value in /n.conf:1`,
		"http { map_hash_max_size -1; }":           `"map_hash_max_size" directive invalid number in /n.conf:1`,
		"http { open_file_cache max=0; }":          `invalid "open_file_cache" parameter "max=0" in /n.conf:1`,
		"http { open_file_cache off inactive=x; }": `invalid "open_file_cache" parameter "inactive=x" in /n.conf:1`,
		"thread_pool n threads=0;":                 `invalid threads value "threads=0" in /n.conf:1`,
		"thread_pool n threads=1 max_queue=x;":     `invalid max_queue value "max_queue=x" in /n.conf:1`,
		"worker_cpu_affinity auto 012;":            `invalid character "2" in "worker_cpu_affinity" in /n.conf:1`,
		"events { use epol; }":                     `invalid event type "epol" in /n.conf:1`,
		"events { worker_connections -1; }":        `"worker_connections" directive invalid number in /n.conf:1`,
	} {
		if err := bind(t, text).Err(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestEachIgnoredDirectiveHasItsNotice: wherever it stands, with the reason that the documentation has.
func TestEachIgnoredDirectiveHasItsNotice(t *testing.T) {
	arguments := map[string]string{
		"on | off": "on", "<size>": "4k", "<number>": "4", "<time>": "5s", "<interval>": "5s", "<number> <size>": "4 8k",
		"<path> [<level1>] [<level2>] [<level3>]": "/tmp 1 2", "<directory>": "/tmp", "<file>": "/tmp/lock", "<mask>...": "0101",
		"<method>": "epoll", "<name> threads=<number> [max_queue=<number>]": "default threads=4", "<size>|off": "off",
		"<variable>": "TZ", "off|max=<number> [inactive=<time>]": "max=1000 inactive=20s", "on|off|threads[=<pool>]": "threads",
	}
	around := map[conf.Context]string{conf.Main: "X", conf.Events: "events { X }"}
	maps.Copy(around, inside)
	for _, d := range core.Ignored().Directives {
		if d.Name == "load_module" || d.Name == "mgmt" || strings.Contains(d.Doc, "obsolete") {
			continue // tested above
		}
		why := strings.TrimPrefix(d.Doc, "Accepted for compatibility, no effect: ")
		text := arguments[d.Syntax]
		if d.Syntax == "<size>" && strings.Contains(d.Name, "_hash_") {
			text = "64"
		}
		seen := conf.Context(0)
		for in, block := range around {
			if d.In&in == 0 {
				continue
			}
			seen |= in
			got := bind(t, strings.Replace(block, "X", d.Name+" "+text+";", 1))
			if err := got.Err(); err != nil || len(got.Ignored) != 1 || got.Ignored[0].Why+"." != why {
				t.Errorf("%s %s in %s: %v, ignored %v, want %q", d.Name, text, in, err, got.Ignored, why)
			}
		}
		if seen != d.In {
			t.Errorf("%s is not tested in %s", d.Name, d.In&^seen)
		}
	}
}
