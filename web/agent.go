package web

import (
	"bytes"

	"starling/web/h1"
)

// browser is what a User-Agent says, as coarsely as the core of nginx reads it (ngx_http_process_user_agent).
type browser int

const (
	browserOther browser = iota
	browserMSIE
	browserOpera
	browserGecko
	browserChrome
	browserSafari
)

// browserOf names the browser of a User-Agent. The order matters: browsers name those that they resemble too.
func browserOf(agent []byte) browser {
	has := func(name string) bool { return bytes.Contains(agent, []byte(name)) }
	switch {
	case len(agent) == 0:
		return browserOther
	case has("Opera"):
		return browserOpera
	case msieVersion(agent) != nil:
		return browserMSIE
	case has("Gecko/"):
		return browserGecko
	case has("Chrome/"):
		return browserChrome
	case has("Safari/") && has("Mac OS X"):
		return browserSafari
	}
	return browserOther
}

// msieVersion is the text from MSIE's version on; nil if there is none. At least three bytes must follow the name.
func msieVersion(agent []byte) []byte {
	const name = "MSIE "
	if at := bytes.Index(agent, []byte(name)); at >= 0 && len(agent)-at > len(name)+2 {
		return agent[at+len(name):]
	}
	return nil
}

// IsMSIE reports whether the client says that it is Internet Explorer up to 10.
func (r *Request) IsMSIE() bool { return browserOf(r.KnownHeader(h1.HeaderUserAgent)) == browserMSIE }

// misbehaves detects browsers that have trouble with kept connections (keepalive_disable).
func (r *Request) misbehaves(d DisabledBrowsers) bool {
	post := d.MSIE6 && string(r.Method) == "POST"
	if !post && !d.Safari {
		return false
	}
	agent := r.KnownHeader(h1.HeaderUserAgent)
	switch browserOf(agent) {
	case browserMSIE:
		return post && isMSIE6(msieVersion(agent))
	case browserSafari:
		return d.Safari
	}
	return false
}

// isMSIE6 reports whether a version, with all that follows it, is 4 to 6, before the second service pack of Windows XP.
func isMSIE6(version []byte) bool {
	if version[1] != '.' {
		return false
	}
	switch version[0] {
	case '4', '5':
		return true
	case '6':
		return !bytes.Contains(version[3:], []byte("SV1"))
	}
	return false
}
