package encoding

import (
	"slices"

	"starling/conf"
	"starling/logs"
	"starling/web"
	"starling/web/document"
	"starling/web/h1"
)

// Static says who gets files that were compressed beforehand.
type Static int

// The values of gzip_static, brotli_static and zstd_static.
const (
	Off    Static = iota
	Accept        // clients that accept the coding
	Always
)

// StaticWords are the values as a directive has them.
var StaticWords = map[string]Static{"off": Off, "on": Accept, "always": Always}

// GzipStatic are the settings of gzip_static in one block.
type GzipStatic struct{ When Static }

// files is the handler of one block, for all of its codings.
type files struct {
	when [codings]Static
	gzip *Gzip
}

// BuildStatic makes the handler of a family. The first one that is on in a block serves files for the others too, so
// that the client's preference decides.
func BuildStatic(b *web.Block, own Coding) (web.Handler, error) {
	f := &files{gzip: gzipOf(b.Scope), when: [codings]Static{
		ZstdCoding:   conf.SettingsOf[Zstd](b.Scope).Static,
		BrotliCoding: conf.SettingsOf[Brotli](b.Scope).Static,
		GzipCoding:   conf.SettingsOf[GzipStatic](b.Scope).When,
	}}
	for coding, when := range f.when {
		if when != Off {
			if Coding(coding) != own {
				break
			}
			return f.handle, nil
		}
	}
	return nil, nil
}

// handle is ngx_http_gzip_static_handler, and that of the modules for brotli and zstd.
func (f *files) handle(r *web.Request) web.Result {
	if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead ||
		len(r.Path) == 0 || r.Path[len(r.Path)-1] == '/' {
		return web.Declined
	}
	wanted := f.wanted(r)
	for {
		coding := favourite(&wanted)
		q := wanted[coding]
		wanted[coding] = visited
		if q < 0 || q == 0 && !f.gzip.Vary {
			return web.Declined
		}
		if result := f.try(r, coding, q > 0); result != web.Declined {
			return result
		}
	}
}

// visited is the quality of a coding that is off, or whose file was tried.
const visited Quality = -1

// wanted is how much a client wants each coding.
func (f *files) wanted(r *web.Request) (wanted [codings]Quality) {
	for coding, when := range f.when {
		switch q := f.gzip.quality(r, Coding(coding)); when {
		case Off:
			wanted[coding] = visited
		case Accept:
			wanted[coding] = q
		case Always:
			wanted[coding] = max(q, 1)
		}
	}
	return wanted
}

// favourite is the coding that a client wants most.
func favourite(wanted *[codings]Quality) (best Coding) {
	for coding, q := range wanted {
		if q > wanted[best] {
			best = Coding(coding)
		}
	}
	return best
}

// try sends the file of one coding, if it exists and the client wants it. A file that exists makes the response depend
// on what the client accepts.
func (f *files) try(r *web.Request, coding Coding, wanted bool) web.Result {
	path := string(append(r.Filename(), suffixes[coding]...))
	file, info, err := document.Open(r, path)
	if err != nil {
		if !document.IsMissing(err) {
			document.Refuse(r, []byte(path), err) // for the log
		}
		return web.Declined
	}
	defer file.Close()
	if slices.Contains(f.when[:], Accept) {
		f.gzip.MarkVary(r)
	}
	switch {
	case !wanted, info.IsDir():
		return web.Declined
	case !info.Mode().IsRegular():
		r.Logf(logs.Crit, "\"%s\" is not a regular file", path)
		return 404
	}
	return document.Send(r, file, info, codingNames[coding])
}
