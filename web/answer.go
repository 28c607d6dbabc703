package web

import (
	"bytes"
	"strings"

	"starling/logs"
	"starling/nginx/escape"
	"starling/web/h1"
)

// Statuses that end a connection without a response.
const (
	statusTimedOut     = 408
	statusClientClosed = 499
)

// answer ends the request with a status: through error_page or with nginx's own page
// (ngx_http_special_response_handler).
func (r *Request) answer(status int) Result {
	if r.headSent {
		// It is too late for another response; only closing the connection shows the client that this one is
		// incomplete.
		r.keep = false
		return Done
	}
	if status == int(CloseConnection) || status == statusTimedOut || status == statusClientClosed {
		r.abandon(status)
		return Done
	}
	if r.sub.memory.bare {
		r.Out.Status, r.Out.ContentLength = status, 0
		r.WriteLast(nil)
		return Done
	}
	r.errStatus = status
	switch status {
	case 400, 413, 414, 495, 496, 497, 500, 501:
		r.keep = false
	}
	r.Out.ContentType = nil
	if page := r.errorPage(status); page != nil {
		return r.sendErrorPage(page)
	}
	if (status == 301 || status == 302) && r.wantsRefresh() {
		return r.sendRefresh()
	}
	if innerStatus(status) {
		r.errStatus = 400
	}
	return r.sendPage(status)
}

// errorPage finds the error_page for a status, once per request unless recursive_error_pages is on.
func (r *Request) errorPage(status int) *ErrorPage {
	core := r.Location.Core
	if r.inErrorPage || len(core.ErrorPages) == 0 || r.uriChanges < 0 {
		return nil
	}
	if !core.RecursiveErrorPages {
		r.inErrorPage = true
	}
	for i := range core.ErrorPages {
		if core.ErrorPages[i].Status == status {
			return &core.ErrorPages[i]
		}
	}
	return nil
}

// innerStatus are the statuses that distinguish errors for error_page and are sent as 400.
func innerStatus(status int) bool { return status >= 494 && status <= 497 }

func (r *Request) sendErrorPage(page *ErrorPage) Result {
	switch {
	case page.Answer >= 0:
		r.errStatus = page.Answer
	case innerStatus(r.errStatus):
		r.errStatus = 400
	}
	uri := r.Expand(&page.URI)
	switch {
	case len(uri) > 0 && uri[0] == '/':
		path, query, _ := bytes.Cut(uri, []byte("?"))
		if r.MethodID != h1.MethodHead {
			r.MethodID, r.Method = h1.MethodGet, methodGet
		}
		return r.InternalRedirect(path, query)
	case len(uri) > 0 && uri[0] == '@':
		return r.NamedRedirect(string(uri))
	}
	switch page.Answer {
	case 301, 302, 303, 307, 308:
	default:
		r.errStatus = 302
	}
	r.Out.Location = uri
	if r.wantsRefresh() {
		return r.sendRefresh()
	}
	return r.sendPage(r.errStatus)
}

var methodGet = []byte("GET")

// abandon ends the connection without a response.
func (r *Request) abandon(status int) {
	r.Out.Status, r.keep, r.finished = status, false, true
	if r.Location.Core.ResetTimedOut && status != statusClientClosed {
		r.wire.Cut(r)
	}
}

// pages are nginx's bodies up to the signature, by status.
var pages = makePages()

func makePages() (p [600][]byte) {
	titles := map[int]string{
		301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect",
		400: "Bad Request", 401: "Authorization Required", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
		405: "Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Time-out",
		409: "Conflict",
		410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Request Entity Too Large",
		414: "Request-URI Too Large", 415: "Unsupported Media Type", 416: "Requested Range Not Satisfiable",
		421: "Misdirected Request", 429: "Too Many Requests",
		500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
		503: "Service Temporarily Unavailable",
		504: "Gateway Time-out", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
	}
	for status, title := range titles {
		text := itoa(status) + " " + title
		p[status] = page(text, "<center><h1>"+text+"</h1></center>")
	}
	for status, reason := range map[int]string{
		494: "Request Header Or Cookie Too Large", 495: "The SSL certificate error",
		496: "No required SSL certificate was sent", 497: "The plain HTTP request was sent to HTTPS port",
	} {
		p[status] = page("400 "+reason, "<center><h1>400 Bad Request</h1></center>", "<center>"+reason+"</center>")
	}
	p[498] = p[404]
	return p
}

func page(title string, lines ...string) []byte {
	return []byte(
		"<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n" + strings.Join(lines, "\r\n") + "\r\n",
	)
}

var textHTML = []byte("text/html")

// sendPage sends nginx's page for a status, or an empty body if it has none.
func (r *Request) sendPage(status int) Result {
	if status < 0 || status >= len(pages) || len(pages[status]) == 0 {
		return r.sendText()
	}
	return r.sendText(pages[status], r.signature(), r.padding(status))
}

// padding hides the short pages of errors from browsers that show a text of their own instead of a short one.
func (r *Request) padding(status int) []byte {
	if status < 400 || r.Version < h1.Version10 || !r.Location.Core.MSIEPadding {
		return nil
	}
	switch browserOf(r.KnownHeader(h1.HeaderUserAgent)) {
	case browserMSIE, browserChrome:
		return msiePadding
	}
	return nil
}

var msiePadding = bytes.Repeat([]byte("<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"), 6)

// wantsRefresh reports whether a page replaces a redirect (msie_refresh).
func (r *Request) wantsRefresh() bool { return r.Location.Core.MSIERefresh && r.IsMSIE() }

// sendRefresh sends a page that leads to the target of a redirect, as nginx's ngx_http_send_refresh.
func (r *Request) sendRefresh() Result {
	target := escape.Append(r.Scratch(), r.Out.Location, escape.Refresh)
	r.errStatus = 200
	r.Out.Location = nil
	return r.sendText(refreshHead, r.KeepScratch(target), refreshTail)
}

var (
	refreshHead = []byte(`<html><head><meta http-equiv="Refresh" content="0; URL=`)
	refreshTail = []byte("\"></head><body></body></html>\r\n")
)

// sendText sends the parts of an HTML page instead of what was to be sent; no parts are an empty body.
func (r *Request) sendText(parts ...[]byte) Result {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	r.Out.ContentLength = int64(size)
	r.Out.LastModified = nil
	r.Out.Ranges = NoRanges
	r.RemoveHeader(h1.HeaderAcceptRanges)
	r.RemoveHeader(h1.HeaderETag)
	r.RemoveHeader(h1.HeaderLastModified) // a server's
	if size > 0 {
		r.Out.ContentType = textHTML
	}
	if err := r.SendHead(); err != nil || r.noBody {
		return Done
	}
	whole := r.Alloc(size)[:0]
	for _, part := range parts {
		whole = append(whole, part...)
	}
	if _, err := r.Write(whole); err != nil && r.LogEnabled(logs.Info) {
		r.Logf(logs.Info, "%v while sending to client", err)
	}
	return Done
}

// Respond sends a complete response. Without a content type it uses that of the URI's extension, or default_type.
func (r *Request) Respond(status int, contentType string, body []byte) Result {
	r.Out.Status, r.Out.ContentLength = status, int64(len(body))
	if contentType != "" {
		r.Out.ContentType = r.CopyString(contentType)
	} else if len(r.Out.ContentType) == 0 { // otherwise a server sent it, with X-Accel-Redirect
		r.Out.ContentType = r.CopyString(r.Location.TypeOf(r.Path))
	}
	if err := r.SendHead(); err != nil {
		return Done
	}
	if len(body) > 0 {
		r.Write(body) // the connection remembers its failure
	}
	return Done
}
