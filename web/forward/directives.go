package forward

import (
	"time"

	"starling/conf"
)

// Directives declares the common directives of families that forward requests, for one of them. place finds the
// Settings in those of the family's module. PREFIX_pass is the first.
func Directives[S any](f *Family, place func(*S) *Settings) []conf.Directive {
	d := declarer[S]{f, place}
	all := []conf.Directive{d.pass()}
	if f.Has.Request && !f.Has.Streams {
		all = append(all, requestDirectives(d)...)
	}
	all = append(all, responseDirectives(d)...)
	if f.Has.Cache {
		all = append(all, cacheDirectives(d)...)
	}
	if f.Has.Store {
		all = append(all, storeDirectives(d)...)
	}
	all = append(all, retryDirectives(d)...)
	return append(all, connectionDirectives(d)...)
}

// declarer declares directives of one family; names are passed without the prefix.
type declarer[S any] struct {
	family *Family
	place  func(*S) *Settings
}

func (d declarer[S]) one(name, syntax, byDefault, doc string, set conf.Setter) conf.Directive {
	name = d.family.Prefix + name
	return conf.Directive{Name: name, Syntax: syntax, Default: byDefault, In: places, Doc: doc, Set: set}
}

func (d declarer[S]) flag(name, byDefault, doc string, at func(*Settings) *bool) conf.Directive {
	return d.one(name, "on | off", byDefault, doc, conf.Field(func(s *S) *bool { return at(d.place(s)) }, conf.Flag))
}

func (d declarer[S]) timed(name, byDefault, doc string, at func(*Settings) *time.Duration) conf.Directive {
	return d.one(name, "<time>", byDefault, doc,
		conf.Field(func(s *S) *time.Duration { return at(d.place(s)) }, conf.Time))
}

func (d declarer[S]) size(name, byDefault, doc string,
	at func(*Settings) *int, parse func(string) (int, error)) conf.Directive {
	return d.one(name, "<size>", byDefault, doc, conf.Field(func(s *S) *int { return at(d.place(s)) }, parse))
}

func (d declarer[S]) words(name, doc string, at func(*Settings) *[]string) conf.Directive {
	all := d.one(name, "<field>", "", doc, conf.List(func(s *S) *[]string { return at(d.place(s)) }, firstWord))
	all.Repeat = true
	return all
}

// wordSet declares a directive whose words form a set. It can be given several times on one level, as in nginx.
func wordSet[S, T any](d declarer[S], name, syntax, byDefault, doc string, at func(*S) *T,
	add func(f *Family, to *T, word string) error) conf.Directive {
	one := d.one(name, syntax, byDefault, doc, conf.Raw(func(s *S, a *conf.Args) error {
		set := at(s)
		if a.FirstWrite(set) {
			var none T
			*set = none
		}
		for _, word := range a.Words {
			if err := add(d.family, set, word); err != nil {
				return err
			}
		}
		return nil
	}))
	one.Repeat = true
	return one
}

func (d declarer[S]) pass() conf.Directive {
	syntax, doc := "<address>", "Sets the server or group of servers that gets the requests of the location."
	switch {
	case d.family.Has.URI:
		syntax, doc = "<url>", doc+" A URI in the URL replaces the matched part of the location."
	case d.family.Has.URL:
		doc += " A scheme can precede the address."
	}
	return conf.Directive{Name: d.family.Prefix + "_pass", Syntax: syntax, In: d.family.Pass, Doc: doc,
		Set: conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setPass(d.family, a) })}
}

func requestDirectives[S any](d declarer[S]) []conf.Directive {
	return []conf.Directive{
		d.flag("_ignore_client_abort", "off", "Continues a request after its client disconnects.",
			func(s *Settings) *bool { return &s.ignoreClientAbort }),
		d.flag("_pass_request_headers", "on", "Passes the client's request headers to the server.",
			func(s *Settings) *bool { return &s.PassHeaders }),
		d.flag(
			"_pass_request_body",
			"on",
			"Passes the client's request body to the server.",
			func(s *Settings) *bool { return &s.passBody },
		),
		d.flag("_request_buffering", "on", "Buffers the whole request body before connecting to a server: "+
			"in memory, or in a temporary file beyond client_body_buffer_size. "+
			"Off streams the body.", func(s *Settings) *bool { return &s.requestBuffering }),
	}
}

func responseDirectives[S any](d declarer[S]) (all []conf.Directive) {
	has := &d.family.Has
	if has.Buffers {
		all = append(all, d.flag("_buffering", "on",
			"Buffers small pieces of a response; off sends each immediately. "+
				"Responses are never buffered on disk.",
			func(s *Settings) *bool { return &s.buffering }))
	}
	all = append(all, d.size("_buffer_size", "4k", "Sets the size of the buffer for response headers.",
		func(s *Settings) *int { return &s.bufferBytes }, bufferBytes))
	if has.Buffers {
		all = append(all, bufferDirectives(d)...)
	}
	if has.Ranges {
		all = append(all, d.flag("_force_ranges", "off",
			"Serves byte ranges of responses, whether or not the server can.",
			func(s *Settings) *bool { return &s.forceRanges }))
	}
	if has.Response {
		all = append(
			all,
			d.words("_hide_header", "Hides a response header field from the client.",
				func(s *Settings) *[]string { return &s.hide }),
			d.words(
				"_pass_header",
				"Passes a response header field that is hidden by default: Date, Server, X-Pad, X-Accel-….",
				func(s *Settings) *[]string { return &s.pass },
			),
			wordSet(d, "_ignore_headers", "<field>...", "", "Disables the processing of response header fields: "+
				"X-Accel-Redirect, X-Accel-Expires, Cache-Control, Set-Cookie and others.",
				func(s *S) *ignored { return &d.place(s).ignore }, addIgnored),
		)
	}
	if has.Trailers {
		all = append(all, d.flag("_pass_trailers", "off",
			"Passes response trailers to the client; the request must announce support for them (TE).",
			func(s *Settings) *bool { return &s.passTrailers }))
	}
	if has.Response {
		all = append(all, d.flag("_intercept_errors", "off",
			"Enables error_page for server responses with a status of 300 or higher.",
			func(s *Settings) *bool { return &s.intercept }))
	}
	return all
}

func bufferDirectives[S any](d declarer[S]) []conf.Directive {
	buffers := d.one("_buffers", "<number> <size>", "8 4k",
		"Sets the number and size of buffers for reading a response.",
		conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setBuffers(a) }))
	busy := d.size("_busy_buffers_size", "",
		"Accepted for compatibility: checked against the other sizes as in nginx, no other effect.",
		func(s *Settings) *int { return &s.busyBytes }, bufferBytes)
	busy.DefaultDoc = "8k"
	file := d.size("_max_temp_file_size", "",
		"Accepted for compatibility; responses are never buffered on disk.",
		func(s *Settings) *int { return &s.tempFileBytes }, tempFileBytes)
	file.DefaultDoc = "0"
	rate := d.one("_limit_rate", "<rate>", "0", "Limits the rate at which a response is read from the server, "+
		"in bytes per second; 0 disables the limit. It has no effect without buffering.",
		conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setLimitRate(a) }))
	return []conf.Directive{buffers, busy, file, rate}
}

func retryDirectives[S any](d declarer[S]) []conf.Directive {
	doc := "Sets the conditions under which a request is retried on the next server."
	if _, has := d.family.Next["non_idempotent"]; has {
		doc += " POST, LOCK and PATCH are retried only with `non_idempotent`."
	}
	return []conf.Directive{
		wordSet(d, "_next_upstream", "<condition>...", "error timeout", doc,
			func(s *S) *Condition { return &d.place(s).next }, addNext),
		d.one("_next_upstream_tries", "<number>", "0", "Limits the number of servers tried; 0 disables the limit.",
			conf.Field(func(s *S) *int { return &d.place(s).nextTries }, conf.Number)),
		d.timed(
			"_next_upstream_timeout",
			"0",
			"Limits the time during which a request can be retried on the next server; 0 disables the limit.",
			func(s *Settings) *time.Duration { return &s.nextTimeout },
		),
	}
}
