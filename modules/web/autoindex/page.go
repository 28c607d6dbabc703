package autoindex

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"starling/nginx/ascii"
	"starling/nginx/escape"
	"starling/nginx/logescape"
	"starling/web"
)

// page is a list that is written.
type page struct {
	settings *Settings
	entries  []entry
	callback []byte
	out      []byte
}

func (f format) mediaType() string {
	switch f {
	case formatJSON:
		return "application/json"
	case formatJSONP:
		return "application/javascript"
	case formatXML:
		return "text/xml; charset=utf-8"
	}
	return "text/html"
}

func (p *page) text(parts ...string) {
	for _, part := range parts {
		p.out = append(p.out, part...)
	}
}

func (p *page) escaped(text string) { p.out = escape.AppendHTML(p.out, []byte(text)) }

// nameWidth is how many characters of a name are shown.
const nameWidth = 50

// html is ngx_http_autoindex_html.
func (p *page) html(r *web.Request) {
	wide := isUTF8(r.Out.ContentType)
	p.text("<html>\r\n<head><title>Index of ")
	p.escaped(string(r.Path))
	p.text("</title></head>\r\n<body>\r\n<h1>Index of ")
	p.escaped(string(r.Path))
	p.text("</h1><hr><pre><a href=\"../\">../</a>\r\n")
	for i := range p.entries {
		e := &p.entries[i]
		slash := ""
		if e.info.IsDir() {
			slash = "/"
		}
		p.text("<a href=\"")
		p.out = escape.Append(p.out, []byte(e.name), escape.Component)
		p.text(slash, "\">")
		length := len(e.name)
		if wide {
			length = utf8.RuneCountInString(e.name)
		}
		if length > nameWidth {
			p.escaped(first(e.name, nameWidth-3, wide))
			p.text("..&gt;</a>")
		} else {
			p.escaped(e.name)
			if length < nameWidth {
				length += len(slash)
				p.text(slash)
			}
			p.text("</a>", strings.Repeat(" ", nameWidth-length))
		}
		modified := e.info.ModTime().UTC()
		if p.settings.localTime {
			modified = modified.Local()
		}
		p.text(" ", modified.Format("02-Jan-2006 15:04 "))
		p.size(e)
		p.text("\r\n")
	}
	p.text("</pre><hr></body>\r\n</html>\r\n")
}

// isUTF8 reports whether the head says so: a name has as many characters as it has code points then.
func isUTF8(contentType []byte) bool {
	const suffix = "charset=utf-8"
	n := len(contentType) - len(suffix)
	return n >= 0 && ascii.EqualString(contentType[n:], suffix)
}

// first returns the first n characters.
func first(text string, n int, wide bool) string {
	if !wide {
		return text[:n]
	}
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// size writes the column of sizes.
func (p *page) size(e *entry) {
	bytes := e.info.Size()
	switch {
	case p.settings.exactSize && e.info.IsDir():
		p.out = fmt.Appendf(p.out, "%19s", "-")
	case p.settings.exactSize:
		p.out = fmt.Appendf(p.out, "%19d", bytes)
	case e.info.IsDir():
		p.out = fmt.Appendf(p.out, "%7s", "-")
	case bytes >= 1<<30:
		p.out = fmt.Appendf(p.out, "%6dG", rounded(bytes, 1<<30))
	case bytes >= 1<<20:
		p.out = fmt.Appendf(p.out, "%6dM", rounded(bytes, 1<<20))
	case bytes > 9999:
		p.out = fmt.Appendf(p.out, "%6dK", rounded(bytes, 1<<10))
	default:
		p.out = fmt.Appendf(p.out, " %6d", bytes)
	}
}

func rounded(bytes, unit int64) int64 { return (bytes + unit/2) / unit }

// json is ngx_http_autoindex_json.
func (p *page) json() {
	if len(p.callback) > 0 {
		p.text("/* callback */\r\n", string(p.callback), "(")
	}
	p.text("[")
	for i := range p.entries {
		e := &p.entries[i]
		if i > 0 {
			p.text(",")
		}
		p.text("\r\n{ \"name\":\"")
		p.out = logescape.JSON.Append(p.out, []byte(e.name))
		p.text("\", \"type\":\"", e.kind(), "\", \"mtime\":\"", e.info.ModTime().UTC().Format(http.TimeFormat), "\"")
		if e.isFile() {
			p.text(", \"size\":", strconv.FormatInt(e.info.Size(), 10))
		}
		p.text(" }")
	}
	p.text("\r\n]")
	if len(p.callback) > 0 {
		p.text(");")
	}
}

// xml is ngx_http_autoindex_xml.
func (p *page) xml() {
	p.text("<?xml version=\"1.0\"?>\r\n<list>\r\n")
	for i := range p.entries {
		e := &p.entries[i]
		p.text("<", e.kind(), " mtime=\"", e.info.ModTime().UTC().Format(time.RFC3339), "\"")
		if e.isFile() {
			p.text(" size=\"", strconv.FormatInt(e.info.Size(), 10), "\"")
		}
		p.text(">")
		p.escaped(e.name)
		p.text("</", e.kind(), ">\r\n")
	}
	p.text("</list>\r\n")
}
