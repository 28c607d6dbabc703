package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/web"
	"starling/web/h1"
)

// documentation is the page to which NGINX Plus refers in an error.
const documentation = "https://nginx.org/en/docs/http/ngx_http_api_module.html"

// endpoint answers the requests of one location.
type endpoint struct {
	settings *Settings
	catalog  *admin.Catalog
	prefix   string // of the location, without trailing slashes
	maxBody  int64  // bytes: client_body_buffer_size, or client_max_body_size if that is less
	limit    string // the name of that directive
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.enabled {
		return nil, nil
	}
	if !b.Current.HasPrefix() {
		return nil, conf.At(s.node, "\"api\" requires a prefix location")
	}
	core := conf.SettingsOf[web.Settings](b.Scope)
	v := &endpoint{settings: s, catalog: plan.Part[admin.Catalog](b.Plan)}
	v.prefix = strings.TrimRight(b.Current.Name, "/")
	v.maxBody, v.limit = core.BodyBufferBytes, "client_body_buffer_size"
	if core.MaxBodyBytes > 0 && core.MaxBodyBytes < v.maxBody {
		v.maxBody, v.limit = core.MaxBodyBytes, "client_max_body_size"
	}
	b.Current.LimitsBody = true // clients of the API read errors as JSON, even that a body is too long
	b.Current.Refuse = func(r *web.Request) web.Result { return v.fail(r, methodDisabled()) }
	return v.handle, nil
}

// handle answers one request.
func (v *endpoint) handle(r *web.Request) web.Result {
	path := splitPath(strings.TrimPrefix(string(r.Path), v.prefix))
	method := string(r.Method)
	if method == http.MethodOptions {
		return v.options(r)
	}
	if method == http.MethodHead {
		method = http.MethodGet // the core withholds the body
	}
	call := &admin.Call{Method: method, Address: r.Conn.Local.String()}
	if !r.Conn.Local.IsValid() {
		call.Address = "unix:" + r.Conn.Net.LocalAddr().String()
	}
	var err error
	if call.Query, err = parseQuery(string(r.Query)); err != nil {
		return v.fail(
			r,
			&admin.APIError{Status: http.StatusBadRequest, Code: "BadQuery", Text: "invalid query: " + err.Error()},
		)
	}
	if problem := v.permit(method); problem != nil {
		return v.fail(r, problem)
	}
	if problem := v.admit(r, method); problem != nil {
		return v.fail(r, problem)
	}
	if method == http.MethodPost || method == http.MethodPatch {
		body, problem := v.body(r)
		if problem != nil {
			return v.fail(r, problem)
		}
		call.Body = body
	} else if problem := v.unread(r); problem != nil {
		return v.fail(r, problem)
	}
	return v.dispatch(r, call, path)
}

// maxArguments bounds how many arguments of a query are read; the API knows half a dozen names.
const maxArguments = 100

// parseQuery reads arguments as nginx does: a plus stays a plus (url.ParseQuery makes it a space), only %XX is decoded.
func parseQuery(query string) (url.Values, error) {
	values := url.Values{}
	if strings.Count(query, "&") >= maxArguments {
		return nil, fmt.Errorf("more than %d arguments", maxArguments)
	}
	for argument := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(argument, "=")
		if argument == "" {
			continue
		}
		var err error
		if name, err = url.PathUnescape(name); err != nil {
			return nil, err
		}
		if value, err = url.PathUnescape(value); err != nil {
			return nil, err
		}
		values.Add(name, value)
	}
	return values, nil
}

// permit checks the method. Methods other than these do not exist here, allowed or not.
func (v *endpoint) permit(method string) *admin.APIError {
	switch method {
	case http.MethodGet:
		return nil
	case http.MethodPost, http.MethodPatch, http.MethodDelete:
		if v.settings.Write {
			return nil
		}
	}
	return methodDisabled()
}

func methodDisabled() *admin.APIError {
	return &admin.APIError{Status: http.StatusMethodNotAllowed, Code: "MethodDisabled", Text: "method disabled"}
}

func (v *endpoint) body(r *web.Request) ([]byte, *admin.APIError) {
	body, err := r.WholeBody(v.maxBody)
	switch {
	case err == nil:
		return body, nil
	case r.ErrorStatus(err) == http.StatusRequestEntityTooLarge:
		return nil, tooLarge(v.maxBody, v.limit)
	}
	return nil, &admin.APIError{
		Status: http.StatusBadRequest,
		Code:   "BodyReadError",
		Text:   "reading the request body failed",
	}
}

// unread applies client_max_body_size to a body that this request does not use.
func (v *endpoint) unread(r *web.Request) *admin.APIError {
	limit := r.Location.Core.MaxBodyBytes
	if limit > 0 && r.ContentLength > limit {
		return tooLarge(limit, "client_max_body_size")
	}
	if err := r.LimitUnread(); err != nil && r.ErrorStatus(err) == http.StatusRequestEntityTooLarge {
		return tooLarge(limit, "client_max_body_size")
	}
	return nil
}

func tooLarge(limit int64, directive string) *admin.APIError {
	return &admin.APIError{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge",
		Text: "request body is longer than " + strconv.FormatInt(limit, 10) + " bytes (" + directive + ")"}
}

// dispatch finds what the path names: the list of versions, the names of a branch, or a resource.
func (v *endpoint) dispatch(r *web.Request, call *admin.Call, path []string) web.Result {
	if len(path) == 0 {
		versions := []int{}
		for n := firstVersion; n <= lastVersion; n++ {
			versions = append(versions, n)
		}
		return v.list(r, call, versions)
	}
	if len(path) == 1 && path[0] == documentName {
		return v.document(r, call)
	}
	version, err := strconv.Atoi(path[0])
	if err != nil || version < firstVersion || version > lastVersion || strconv.Itoa(version) != path[0] {
		return v.fail(r, &admin.APIError{Status: http.StatusNotFound, Code: "UnknownVersion", Text: "unknown version"})
	}
	call.Version = version
	// The tree is built per call: the catalog is complete only when the configuration runs, and calls are few.
	resource, tail, names := newTree(v.catalog.Resources).find(version, path[1:])
	switch {
	case resource != nil:
		call.Tail = tail
		return v.answer(r, call, resource)
	case names != nil:
		return v.list(r, call, names)
	}
	return v.fail(r, admin.PathNotFound())
}

func (v *endpoint) list(r *web.Request, call *admin.Call, names any) web.Result {
	if call.Method != http.MethodGet {
		return v.fail(r, admin.MethodNotAllowed())
	}
	text, err := encode(names)
	if err != nil {
		return v.broken(r, err)
	}
	return v.send(r, http.StatusOK, text)
}

// answer calls the resource and sends its answer.
func (v *endpoint) answer(r *web.Request, call *admin.Call, resource *admin.Resource) web.Result {
	answer := resource.Handle(call)
	if answer.Err != nil {
		return v.fail(r, answer.Err)
	}
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	if answer.Location != "" {
		r.SetHeader([]byte("Location"), []byte(answer.Location))
	}
	if answer.Stream != nil {
		return v.stream(r, status, answer.Stream)
	}
	if answer.Body == nil {
		return v.send(r, status, nil)
	}
	text, err := encode(answer.Body)
	if err != nil {
		return v.broken(r, err)
	}
	if call.Method == http.MethodGet && call.Query.Has("fields") {
		text = fields(text, call.Query.Get("fields"), resource.Collection && len(call.Tail) == 0)
	}
	return v.send(r, status, text)
}

// fields applies ?fields= to a value.
func fields(text []byte, wanted string, collection bool) []byte {
	if wanted != "" {
		return choose(text, strings.Split(wanted, ","), collection)
	}
	if collection {
		return names(text)
	}
	return text
}

// failure is the body of an error.
type failure struct {
	Error struct {
		Status int    `json:"status"`
		Text   string `json:"text"`
		Code   string `json:"code"`
	} `json:"error"`
	RequestID string `json:"request_id"`
	Href      string `json:"href"`
}

func (v *endpoint) fail(r *web.Request, problem *admin.APIError) web.Result {
	f := failure{RequestID: string(r.Expand(&v.settings.requestID)), Href: documentation}
	f.Error.Status, f.Error.Text, f.Error.Code = problem.Status, problem.Text, problem.Code
	text, err := json.Marshal(f)
	if err != nil {
		return v.broken(r, err)
	}
	return v.send(r, problem.Status, text)
}

// broken is for values that JSON cannot express, a bug of this program.
func (v *endpoint) broken(r *web.Request, err error) web.Result {
	r.Logf(logs.Error, "cannot encode the API response: %v", err)
	return http.StatusInternalServerError
}

// stream sends an answer while it is generated.
func (v *endpoint) stream(r *web.Request, status int, write func(io.Writer) error) web.Result {
	notCached(r)
	r.Out.Status, r.Out.ContentLength = status, -1
	r.Out.ContentType = r.CopyString("application/json")
	if err := r.SendHead(); err != nil || r.MethodID == h1.MethodHead {
		return web.Done
	}
	if err := write(r); err != nil {
		r.Logf(logs.Info, "%v while sending to client", err)
		r.Abort()
	}
	return web.Done
}

// notCached forbids caching: old counters are of no use, and some proxies cache whatever does not forbid it.
func notCached(r *web.Request) {
	r.SetHeader([]byte("Cache-Control"), []byte("no-cache"))
	r.SetHeader([]byte("Expires"), []byte("Thu, 01 Jan 1970 00:00:01 GMT"))
}

func (v *endpoint) send(r *web.Request, status int, text []byte) web.Result {
	notCached(r)
	if text == nil {
		return r.Respond(status, "", nil)
	}
	return r.Respond(status, "application/json", text)
}

// options answers which methods the location accepts.
func (v *endpoint) options(r *web.Request) web.Result {
	r.SetHeader([]byte("Allow"), []byte(v.methods()))
	return r.Respond(http.StatusNoContent, "", nil)
}

func (v *endpoint) methods() string {
	if v.settings.Write {
		return "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}
