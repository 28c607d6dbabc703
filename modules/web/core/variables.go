package core

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"starling/lib/proxyprotocol"
	"starling/nginx/units"
	"starling/nginx/version"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

type variable = vars.Variable[*web.Request]

// appender is the value of a variable that is always the same function of the request.
type appender = func(r *web.Request, dst []byte) ([]byte, bool)

func always(name, doc string, f appender) variable {
	return variable{
		Name:   name,
		Doc:    doc,
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) { return f(r, dst) },
	}
}

// proxied is the PROXY header of the connection, or nil.
func proxied(r *web.Request) *proxyprotocol.Header { return r.Conn.Proxied }

// text makes an appender of a slice of the request. An empty slice is a value; one that was not sent is not.
func text(f func(r *web.Request) []byte) appender {
	return func(r *web.Request, dst []byte) ([]byte, bool) {
		v := f(r)
		return append(dst, v...), v != nil
	}
}

func number(f func(r *web.Request) int64) appender {
	return func(r *web.Request, dst []byte) ([]byte, bool) { return strconv.AppendInt(dst, f(r), 10), true }
}

func variables() []variable {
	all := append(uriVariables(), headerVariables()...)
	all = append(all, connectionVariables()...)
	all = append(all, serverVariables()...)
	all = append(all, tcpVariables()...)
	all = append(all, side.ProxyVariables(proxied)...)
	all = append(all, responseVariables()...)
	all = append(all, environmentVariables()...)
	return append(all, side.CaptureVariables[*web.Request]()...)
}

func uriVariables() []variable {
	path := text(func(r *web.Request) []byte { return r.Path })
	query := text(func(r *web.Request) []byte { return r.Query })
	setQuery := func(r *web.Request, value []byte) { r.Query = value }
	args := always("args", "The arguments of the request line.", query)
	args.Assign = setQuery
	queryString := always("query_string", "The same as `$args`.", query)
	queryString.Assign = setQuery
	return []variable{
		always("uri", "The current URI, decoded and normalised, without arguments.", path),
		always("document_uri", "The same as `$uri`.", path),
		always("fastcgi_script_name", "The same as `$uri`: there is no `fastcgi_index`.", path),
		always("fastcgi_path_info", "The empty text: there is no `fastcgi_split_path_info`.",
			func(_ *web.Request, dst []byte) ([]byte, bool) { return dst, true }),
		args,
		queryString,
		always("is_args", "`?` with arguments, otherwise empty.", func(r *web.Request, dst []byte) ([]byte, bool) {
			if len(r.Query) > 0 {
				dst = append(dst, '?')
			}
			return dst, true
		}),
		{Name: "arg_", Prefix: true, Doc: "The argument of that name.", Append: appendArgument},
		always(
			"request_uri",
			"The path and arguments as the client sent them.",
			text(func(r *web.Request) []byte { return r.Target }),
		),
		always("request", "The request line.", text(func(r *web.Request) []byte { return r.Line })),
		always("request_method", "The method.", text(func(r *web.Request) []byte { return r.Method })),
		always("server_protocol", "The protocol of the request.", text(func(r *web.Request) []byte { return r.Proto })),
		always(
			"request_filename",
			"The file path of the current request.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				return append(dst, r.Filename()...), true
			},
		),
		always(
			"document_root",
			"The value of `root` or `alias`.",
			func(r *web.Request, dst []byte) ([]byte, bool) { return r.AppendRoot(dst), true },
		),
		always(
			"realpath_root",
			"The value of `root` or `alias` with symbolic links resolved.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				path, err := filepath.EvalSymlinks(string(r.AppendRoot(nil)))
				return append(dst, path...), err == nil
			},
		),
	}
}

func appendArgument(r *web.Request, name string, dst []byte) ([]byte, bool) {
	value, sent := r.Argument(name)
	return append(dst, value...), sent
}

func headerVariables() []variable {
	return []variable{
		always(
			"host",
			"The host name: from the request line, the `Host` header, or the server name, in this order.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if len(r.Host) > 0 {
					return append(dst, r.Host...), true
				}
				return append(dst, r.Server.Name...), true
			},
		),
		always("content_type", "The `Content-Type` of the request.", func(r *web.Request, dst []byte) ([]byte, bool) {
			return appendHeaders(r.Headers, "content_type", true, dst)
		}),
		always("content_length",
			"The `Content-Length` of the request.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				switch {
				case r.Seen.Has(h1.HeaderContentLength):
					return append(dst, r.KnownHeader(h1.HeaderContentLength)...), true
				case r.Chunked && r.BodyDone():
					return strconv.AppendInt(dst, r.BodyRead(), 10), true
				}
				return dst, false
			}),
		{
			Name:   "http_",
			Prefix: true,
			Doc:    "The request header of that name; multiple values are joined by commas (`Cookie` by semicolons).",
			Append: func(r *web.Request, name string, dst []byte) ([]byte, bool) {
				return appendHeaders(r.Headers, name, namedExactly(name), dst)
			},
		},
		{Name: "sent_http_", Prefix: true, Doc: "The response header of that name.", Append: appendSentHeader},
		{Name: "cookie_", Prefix: true, Doc: "The cookie of that name.", Append: appendCookie},
		always(
			"request_body",
			"The request body, if it was read into memory.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if !r.BodyKept() || len(r.KeptBody()) == 0 {
					return dst, false
				}
				return append(dst, r.KeptBody()...), true
			},
		),
		always(
			"request_body_file",
			"The path of the temporary file with the request body; it can be opened with `client_body_in_file_only`.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				file := r.BodyFile()
				if file == nil {
					return dst, false
				}
				return append(dst, file.Name...), true
			},
		),
	}
}

// namedExactly reports whether $http_NAME is one of those that nginx has by the header, not by the variable's name: so
// X_Forwarded_For, with underscores_in_headers, adds nothing to $http_x_forwarded_for.
func namedExactly(name string) bool { return name == "user_agent" || name == "x_forwarded_for" }

// appendHeaders joins the headers that a variable names. exact means that only '-' counts as its '_'.
func appendHeaders(headers h1.Headers, name string, exact bool, dst []byte) ([]byte, bool) {
	separator := ", "
	if name == "cookie" {
		separator = "; "
	}
	set := false
	for i := headers.Lookup(name, 0); i >= 0; i = headers.Lookup(name, i+1) {
		if exact && bytes.IndexByte(headers[i].Name, '_') >= 0 {
			continue
		}
		if set {
			dst = append(dst, separator...)
		}
		dst, set = append(dst, headers[i].Value...), true
	}
	return dst, set
}

func appendSentHeader(r *web.Request, name string, dst []byte) ([]byte, bool) {
	switch name {
	case "content_type":
		return append(dst, r.Out.ContentType...), len(r.Out.ContentType) > 0
	case "content_length":
		if r.Out.ContentLength < 0 {
			return dst, false
		}
		return strconv.AppendInt(dst, r.Out.ContentLength, 10), true
	case "location":
		if len(r.Out.Location) > 0 {
			return append(dst, r.Out.Location...), true
		}
	case "last_modified":
		if len(r.Out.LastModified) > 0 {
			return append(dst, r.Out.LastModified...), true
		}
	case "connection":
		switch {
		case r.Out.Status == 101:
			return append(dst, "upgrade"...), true
		case r.KeepsConnection():
			return append(dst, "keep-alive"...), true
		}
		return append(dst, "close"...), true
	case "keep_alive":
		if seconds := r.Location.Core.KeepAlive.Header.Seconds(); r.KeepsConnection() && seconds > 0 {
			return strconv.AppendInt(append(dst, "timeout="...), int64(seconds), 10), true
		}
		return dst, false
	case "transfer_encoding":
		if r.SentChunked() {
			return append(dst, "chunked"...), true
		}
		return dst, false
	}
	return appendHeaders(r.Out.Headers, name, false, dst)
}

func appendCookie(r *web.Request, name string, dst []byte) ([]byte, bool) {
	value, sent := r.Cookie(name)
	return append(dst, value...), sent
}

func environmentVariables() []variable {
	pid := strconv.Itoa(os.Getpid())
	return []variable{
		always(
			"hostname",
			"The host name of the machine.",
			func(r *web.Request, dst []byte) ([]byte, bool) { return append(dst, r.Hostname()...), true },
		),
		always(
			"pid",
			"The process ID.",
			func(_ *web.Request, dst []byte) ([]byte, bool) { return append(dst, pid...), true },
		),
		always(
			"nginx_version",
			"The compatible nginx version.",
			func(_ *web.Request, dst []byte) ([]byte, bool) { return append(dst, version.Nginx...), true },
		),
		always(
			"msec",
			"The current time in seconds with milliseconds.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				return units.AppendSeconds(dst, max(r.Now().WallMS, 0)), true
			},
		),
		always("time_local", "The local time in the common log format.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				return append(dst, r.Stamps(r.Now()).Local...), true
			}),
		always("time_iso8601", "The local time in ISO 8601 format.", func(r *web.Request, dst []byte) ([]byte, bool) {
			return append(dst, r.Stamps(r.Now()).ISO8601...), true
		}),
		always("time_iso8601_ms", "The local time in ISO 8601 format with milliseconds.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				now := r.Now()
				return r.Stamps(now).AppendISO8601Millis(dst, now.WallMS), true
			}),
	}
}
