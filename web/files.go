package web

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/nginx/units"
	"starling/plan"
	"starling/vars"
)

func itoa(n int) string { return strconv.Itoa(n) }

// hostname is that of the machine, in lower case as in nginx ($hostname).
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost" // gethostname fails on no supported system; only this log line would show it
	}
	return strings.ToLower(name)
}

// defaultAddress is the address of a server without listen: *:80, or *:8000 if the user may not bind port 80.
func defaultAddress(p *plan.Plan) sockaddr.Addr {
	port := uint16(80)
	if !p.AsRoot {
		port = 8000
	}
	return sockaddr.Addr{AddrPort: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
}

// Filename is the path of the URI's file ($request_filename): root and URI, or alias and the part after the location's
// name. It is valid during the request.
func (r *Request) Filename() []byte { return r.FilenameOf(r.Path) }

// LostAlias reports, with an entry in the log, that the URI has no file: the part after the location's name is unknown
// once the URI was rewritten (rewrite … break). The response is 500, as in nginx.
func (r *Request) LostAlias() bool {
	l := r.Location
	if !l.Core.Alias || !r.Displaced {
		return false
	}
	r.Logf(logs.Alert, "\"alias\" cannot be used in location \"%s\" where URI was rewritten", l.Name)
	return true
}

// FilenameOf is Filename of another URI (index, try_files).
func (r *Request) FilenameOf(uri []byte) []byte {
	l := r.Location
	b := r.AppendRoot(r.takeScratch())
	switch {
	case !l.Core.Alias:
		b = append(b, uri...)
	case !l.Core.AliasWhole:
		b = append(b, uri[min(len(l.Core.AliasPart), len(uri)):]...)
	case r.BehindAlias:
		b = append(b, uri...)
	default:
		// The alias of a regular expression is the whole path, built from captures.
	}
	return r.KeepScratch(b)
}

// takeScratch is Scratch for code that evaluates variables, which use the scratch themselves.
func (r *Request) takeScratch() []byte {
	b := r.scratch
	r.scratch = nil
	return b[:0]
}

// AppendRoot adds the value of root or alias. A value that begins with a variable can be relative to the prefix.
func (r *Request) AppendRoot(dst []byte) []byte {
	l := r.Location
	if l.rootLiteral != "" {
		return append(dst, l.rootLiteral...)
	}
	start := len(dst)
	dst = l.Core.Root.Append(dst, r)
	if len(dst) == start || dst[start] != '/' {
		full := r.site.plan.PrefixPath(string(dst[start:]))
		dst = append(dst[:start], full...)
	}
	return dst
}

// TypeOf returns the media type of a path by its extension, otherwise default_type.
func (l *Location) TypeOf(path []byte) string {
	dot := bytes.LastIndexByte(path, '.')
	if slash := bytes.LastIndexByte(path, '/'); dot > slash {
		extension := path[dot+1:]
		if t, known := l.Core.Types[string(extension)]; known {
			return t
		}
		if t, known := l.Core.Types[string(bytes.ToLower(extension))]; known {
			return t
		}
	}
	return l.Core.DefaultType
}

// SetLimitRate replaces limit_rate for this response; 0 disables the limit.
func (r *Request) SetLimitRate(bytesPerSecond int64) {
	if r.LimitRate = bytesPerSecond; bytesPerSecond == 0 {
		r.LimitRate = -1
	}
}

// startRate applies limit_rate to the response.
func (r *Request) startRate() {
	core := r.Location.Core
	if r.parent != nil {
		return // there is no client
	}
	r.rate = r.LimitRate
	if r.rate == 0 {
		r.rate = r.bytesOf(&core.LimitRate)
	}
	if r.rate > 0 {
		r.rateAfter = r.bytesOf(&core.LimitRateAfter)
	}
}

// bytesOf evaluates a size with variables; an invalid size counts as 0, as in nginx.
func (r *Request) bytesOf(t *vars.Template[*Request]) int64 {
	text, literal := t.Literal()
	if literal && (text == "0" || text == "") {
		return 0
	}
	n, err := units.Size(string(t.Append(nil, r)))
	if err != nil {
		return 0
	}
	return n
}

func elapsedMS(from, to clock.Reading) int64 { return to.MonoMS - from.MonoMS }
