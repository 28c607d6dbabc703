package api

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/web"
)

const (
	// preflightSeconds is how long a browser may cache a preflight answer: an origin that a reload removes loses its
	// rights after that at the latest.
	preflightSeconds = "600"
	// maxAskedHeaderBytes is more than the names of all headers that a page may set by itself.
	maxAskedHeaderBytes = 1 << 10
)

// buildCORS lets browsers show the answers of the API to pages of the listed origins (the CORS protocol of the Fetch
// standard). It runs before the access rules: a browser sends a preflight request without credentials, and a page can
// read an error only if its answer names the origin too.
func buildCORS(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.enabled || len(s.origins) == 0 {
		return nil, nil
	}
	return (&endpoint{settings: s}).shareWithPages, nil
}

// shareWithPages answers preflight requests, and adds the CORS headers to all other answers.
func (v *endpoint) shareWithPages(r *web.Request) web.Result {
	r.AddHeader([]byte("Vary"), []byte("Origin"))
	text, from, known := sentOrigin(r)
	named := known && slices.Contains(v.settings.origins, from)
	if named {
		r.SetHeader([]byte("Access-Control-Allow-Origin"), r.CopyString(text))
		r.SetHeader([]byte("Access-Control-Allow-Credentials"), []byte("true"))
		r.SetHeader([]byte("Access-Control-Expose-Headers"), []byte("Location"))
	}
	i := r.Headers.Lookup("access-control-request-method", 0)
	if string(r.Method) != http.MethodOptions || text == "" || i < 0 {
		return web.Declined
	}
	if !named {
		if known && from.isHost(r) {
			return web.Declined // a page of this host needs no permission
		}
		why := fmt.Sprintf("Origin \"%s\" is not listed in \"api_allow_origin\"", text[:min(len(text), maxOriginBytes)])
		r.Logf(logs.Error, "API preflight request rejected: %s", why)
		return v.fail(r, &admin.APIError{Status: http.StatusForbidden, Code: "CrossSiteRequest", Text: why})
	}
	r.SetHeader([]byte("Access-Control-Allow-Methods"), []byte(v.methods()))
	r.SetHeader([]byte("Access-Control-Max-Age"), []byte(preflightSeconds))
	if i := r.Headers.Lookup("access-control-request-headers", 0); i >= 0 && isNameList(r.Headers[i].Value) {
		// The API itself reads none of them; its access rules may.
		r.SetHeader([]byte("Access-Control-Allow-Headers"), r.Headers[i].Value)
	}
	return v.options(r)
}

// sentOrigin is the Origin of a request: the text, "" if there is none, and the parsed origin, if it is valid and the
// only one.
func sentOrigin(r *web.Request) (text string, o origin, known bool) {
	i := r.Headers.Lookup("origin", 0)
	if i < 0 {
		return "", o, false
	}
	text = string(r.Headers[i].Value)
	o, known = parseOrigin(text)
	return text, o, known && r.Headers.Lookup("origin", i+1) < 0
}

// isNameList reports whether a text is a list of header names separated by commas.
func isNameList(text []byte) bool {
	const bytesOfNames = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, "
	return len(text) > 0 && len(text) <= maxAskedHeaderBytes && len(bytes.Trim(text, bytesOfNames)) == 0
}
