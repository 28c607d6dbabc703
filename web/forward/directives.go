package forward

import (
	"time"

	"starling/conf"
)

// Directives declares what the families that forward requests have in common, for one of them. place finds the Settings
// in those of the family's module. PREFIX_pass is the first.
func Directives[S any](f *Family, place func(*S) *Settings) []conf.Directive {
	d := declarer[S]{f, place}
	all := []conf.Directive{d.pass()}
	if f.Has.Request {
		all = append(all, requestDirectives(d)...)
	}
	all = append(all, responseDirectives(d)...)
	all = append(all, retryDirectives(d)...)
	return append(all, connectionDirectives(d)...)
}

// declarer declares directives of one family; their names are given without the prefix.
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

func (d declarer[S]) pass() conf.Directive {
	syntax, doc := "<address>", "Sends the requests of a location to a server or a group of servers."
	if d.family.Has.URL {
		syntax, doc = "<url>", doc+" A URI in the URL takes the place of the location's name."
	}
	return conf.Directive{Name: d.family.Prefix + "_pass", Syntax: syntax, In: d.family.Pass, Doc: doc,
		Set: conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setPass(d.family, a) })}
}

func requestDirectives[S any](d declarer[S]) []conf.Directive {
	return []conf.Directive{
		d.flag("_ignore_client_abort", "off", "Goes on with a request whose client has left.",
			func(s *Settings) *bool { return &s.ignoreClientAbort }),
		d.flag("_pass_request_headers", "on", "Passes the client's headers.",
			func(s *Settings) *bool { return &s.PassHeaders }),
		d.flag("_pass_request_body", "on", "Passes the client's body.", func(s *Settings) *bool { return &s.passBody }),
		d.flag("_request_buffering", "on", "Reads the whole body before a server is asked: "+
			"into memory, or a temporary file beyond client_body_buffer_size. "+
			"Off passes it on as it comes.", func(s *Settings) *bool { return &s.requestBuffering }),
	}
}

func responseDirectives[S any](d declarer[S]) (all []conf.Directive) {
	has := &d.family.Has
	if has.Buffers {
		all = append(all, d.flag("_buffering", "on",
			"Collects small pieces of a response; off sends each at once. "+
				"No response is written to disk in either case.",
			func(s *Settings) *bool { return &s.buffering }))
	}
	all = append(all, d.size("_buffer_size", "4k", "Bounds the head of a response.",
		func(s *Settings) *int { return &s.bufferBytes }, bufferBytes))
	if has.Buffers {
		all = append(all, bufferDirectives(d)...)
	}
	if has.Response {
		all = append(all,
			d.words("_hide_header", "Keeps a header of the response from the client.",
				func(s *Settings) *[]string { return &s.hide }),
			d.words("_pass_header", "Passes a header that is otherwise hidden: Date, Server, X-Pad, X-Accel-….",
				func(s *Settings) *[]string { return &s.pass }),
			d.one("_ignore_headers", "<field>...", "", "Keeps headers of the response from having an effect here: "+
				"X-Accel-Redirect, X-Accel-Limit-Rate and their kin.",
				conf.Whole(func(s *S) *ignored { return &d.place(s).ignore }, parseIgnored)))
	}
	if has.Trailers {
		all = append(all, d.flag("_pass_trailers", "off",
			"Passes the fields behind the body of a response; the server must be told that they are welcome (TE).",
			func(s *Settings) *bool { return &s.passTrailers }))
	}
	if has.Response {
		all = append(all, d.flag("_intercept_errors", "off",
			"Lets error_page answer statuses from 300 on that servers send.",
			func(s *Settings) *bool { return &s.intercept }))
	}
	return all
}

func bufferDirectives[S any](d declarer[S]) []conf.Directive {
	buffers := d.one("_buffers", "<number> <size>", "8 4k",
		"Sets how much of a response is read at once: all of these together.",
		conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setBuffers(a) }))
	busy := d.size("_busy_buffers_size", "",
		"Is checked against the other sizes as in nginx; there is no use for it beyond that.",
		func(s *Settings) *int { return &s.busyBytes }, bufferBytes)
	busy.DefaultDoc = "8k"
	file := d.size("_max_temp_file_size", "",
		"Bounds what of a response is written to disk. Nothing ever is, so every bound is kept.",
		func(s *Settings) *int { return &s.tempFileBytes }, tempFileBytes)
	file.DefaultDoc = "0"
	return []conf.Directive{buffers, busy, file}
}

func retryDirectives[S any](d declarer[S]) []conf.Directive {
	doc := "Says after what another server is tried."
	if _, has := d.family.Next["non_idempotent"]; has {
		doc += " POST, LOCK and PATCH are only sent twice with `non_idempotent`."
	}
	return []conf.Directive{
		d.one("_next_upstream", "<condition>...", "error timeout", doc,
			conf.Whole(func(s *S) *Condition { return &d.place(s).next }, d.family.parseNext)),
		d.one("_next_upstream_tries", "<number>", "0", "Bounds the servers tried; 0 does not.",
			conf.Field(func(s *S) *int { return &d.place(s).nextTries }, conf.Number)),
		d.timed("_next_upstream_timeout", "0", "Bounds the time within which another server is tried; 0 does not.",
			func(s *Settings) *time.Duration { return &s.nextTimeout }),
	}
}
