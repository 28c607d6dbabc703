package cycle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"starling/admin"
	"starling/lib/testkit"
	"starling/plan"
)

// described is a node with its description.
type described struct {
	t      *testing.T
	url    string // of the API
	doc    *openapi3.T
	router routers.Router
	used   map[string]bool // operations that were answered with success
	host   *host
}

func describe(t *testing.T, url string) *described {
	t.Helper()
	r, err := http.Get(url + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%s %s %v", r.Status, r.Header.Get("Content-Type"), err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: url}} // "." means where the document came from
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &described{t: t, url: url, doc: doc, router: router, used: map[string]bool{}}
}

// call sends a request and checks it and the answer against the document. A call ends in " !" if the document must
// reject the request too. It returns the status and the body.
func (d *described) call(line string) (status int, text string) {
	d.t.Helper()
	line, wrong := strings.CutSuffix(line, " !")
	method, rest, _ := strings.Cut(line, " ")
	target, body, _ := strings.Cut(rest, " ")
	request, err := http.NewRequest(method, d.url+target, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	request.Body = io.NopCloser(strings.NewReader(body))
	route, parameters, err := d.router.FindRoute(request)
	if err != nil {
		d.t.Errorf("%s: no route in the document: %v", line, err)
		return answer.StatusCode, string(all)
	}
	input := &openapi3filter.RequestValidationInput{Request: request, Route: route, PathParams: parameters}
	if err := openapi3filter.ValidateRequest(context.Background(), input); (err != nil) != wrong {
		d.t.Errorf("%s: the document judges the request: %v", line, err)
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: answer.StatusCode, Header: answer.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	response.SetBodyBytes(all)
	if err := openapi3filter.ValidateResponse(context.Background(), response); err != nil {
		d.t.Errorf("%s: %d %.300s\n%.300s", line, answer.StatusCode, all, err)
	}
	if answer.StatusCode < 300 {
		d.used[route.Operation.OperationID] = true
	}
	return answer.StatusCode, string(all)
}

// isError checks an answer that belongs to no operation.
func (d *described) isError(answer *http.Response) error {
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: answer.Request, Route: &routers.Route{Operation: &openapi3.Operation{Responses: openapi3.NewResponses(
				openapi3.WithStatus(answer.StatusCode, d.doc.Components.Responses["NotFound"]))}},
		},
		Status: answer.StatusCode, Header: answer.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	response.SetBodyBytes(text)
	return openapi3filter.ValidateResponse(context.Background(), response)
}

// operations are the methods of each path in the document.
func (d *described) operations() map[string][]string {
	all := map[string][]string{}
	for path, item := range d.doc.Paths.Map() {
		all[path] = slices.Sorted(maps.Keys(item.Operations()))
	}
	return all
}

// documentedNode is a node that has something at every path of the document, and its API.
func documentedNode(t *testing.T) *described {
	h := newHost(t)
	web, sync, backend := address(t), address(t), address(t)
	certificate, key := certified(t, h.dir)
	h.run(strings.NewReplacer("HTTP", web, "OWN", address(t), "SYNC", sync, "BACKEND", backend, "CERTIFICATE", certificate, "KEY", key,
		"STATE", filepath.Join(h.dir, "strict.state")).Replace(`
		http {
			access_log off;
			limit_req_zone $uri zone=req:1m rate=1000r/s; limit_req_zone $uri zone=firm:1m rate=1000r/s sync strict;
			limit_conn_zone $uri zone=conn:1m; limit_conn_zone $uri zone=firmconn:1m sync strict;
			keyval_zone zone=pairs:1m timeout=1h sync; keyval $uri $value zone=pairs;
			keyval_zone zone=lasting:1m; keyval $uri $lasting zone=lasting;
			proxy_cache_path pages keys_zone=pages:1m;
			upstream u { zone u 64k sync; server BACKEND max_conns=100; server 127.0.0.9:1 backup;
				sticky learn create=$upstream_http_x lookup=$arg_s zone=sessions:1m; }
			upstream static { server 127.0.0.1:1; }
			upstream alone { zone alone 64k; server 127.0.0.1:1; }
			server {
				listen HTTP; status_zone z;
				location /api { api write=on; client_body_buffer_size 1k; client_max_body_size 1m; }
				location /read { api; }
				location / { status_zone z; limit_req zone=req burst=100 nodelay; limit_conn conn 10; proxy_pass http://u;
					health_check sync interval=1h; }
			}
			server { listen BACKEND; ssl_certificate CERTIFICATE; ssl_certificate_key KEY; return 204; }
		}
		stream {
			limit_conn_zone $remote_addr zone=sconn:1m; limit_conn_zone $remote_addr zone=firmsconn:1m sync strict;
			keyval_zone zone=spairs:1m timeout=1h sync; keyval $remote_addr $value zone=spairs;
			resolver 127.0.0.1:1 status_zone=z;
			upstream u { zone su 64k sync; server HTTP max_conns=100; server 127.0.0.9:1 backup; }
			server { listen OWN; status_zone z; limit_conn sconn 10; proxy_pass u; health_check sync interval=1h; }
			server { listen SYNC; zone_sync; zone_sync_strict_state STATE; zone_sync_server SYNC; }
		}`))
	t.Cleanup(h.Stop)
	if got := getStatus(t, "http://"+web+"/"); got != 204 {
		t.Fatal(got)
	}
	d := describe(t, "http://"+web+"/api")
	d.host = h
	testkit.Eventually(t, patience, func() error {
		if got := getStatus(t, d.url+"/9/stream/zone_sync/ready"); got != 200 {
			return fmt.Errorf("ready: %d", got)
		}
		return nil
	})
	return d
}

// filled is a path of the document with names that the node has.
func filled(path string) string {
	path = strings.Replace(path, "{version}", "9", 1)
	zone := "z"
	for part, name := range map[string]string{"slabs": "pairs", "keyvals": "pairs", "limit_conns": "conn", "limit_reqs": "req", "sessions": "sessions"} {
		if strings.Contains(path, "/"+part+"/") {
			zone = name
			if strings.Contains(path, "/stream/") {
				zone = "s" + name
			}
		}
	}
	return strings.NewReplacer("{zone}", zone, "{upstream}", "u", "{server}", "0", "{worker}", "0", "{cache}", "pages").Replace(path)
}

// callsOfBothSides are calls in this order, with their status.
var callsOfBothSides = []struct {
	call string
	want int
}{
	{`POST /9/SIDE/keyvals/pairs {"a":"1","b":{"value":2,"expire":60000}}`, 201},
	{`GET /9/SIDE/keyvals?fields=pairs`, 200},
	{`GET /9/SIDE/keyvals/pairs?key=a`, 200},
	{`GET /9/starling/SIDE/keyvals/pairs?limit=1&search=a`, 200},
	{`GET /9/starling/SIDE/keyvals/pairs?limit=0 !`, 400},
	{`GET /9/SIDE/keyvals/pairs?key=x`, 404},
	{`POST /9/SIDE/keyvals/pairs {"a":"1"}`, 409},
	{`POST /9/SIDE/keyvals/pairs {"c":["1"]} !`, 400},
	{`POST /9/SIDE/keyvals/pairs {"c": !`, 415},
	{`POST /9/SIDE/keyvals/none {"a":"1"}`, 404},
	{`PATCH /9/SIDE/keyvals/pairs {"a":2.5}`, 204},
	{`PATCH /9/SIDE/keyvals/pairs {"a":true} !`, 400},
	{`PATCH /9/SIDE/keyvals/pairs?ack=all&timeout=1s {"a":3}`, 204},
	{`PATCH /9/SIDE/keyvals/pairs?ack=2&timeout=1ms {"a":4}`, 202},
	{`PATCH /9/SIDE/keyvals/pairs?ack=0 {"a":5} !`, 400},
	{`PATCH /9/SIDE/keyvals/pairs?ack=1&timeout=1h {"a":5}`, 400},
	{`GET /9/SIDE/keyvals?fields=`, 200},
	{`PATCH /9/SIDE/keyvals/pairs {"b":null}`, 204},
	{`PATCH /9/SIDE/keyvals/pairs {"x":"1"}`, 404},
	{`PATCH /9/SIDE/keyvals/pairs {"a":"1","b":"2"} !`, 400},
	{`DELETE /9/SIDE/keyvals/pairs`, 204},
	{`POST /9/SIDE/upstreams/u/servers {"server":"127.0.0.1:2","weight":"2","max_conns":3,"slow_start":"1s","down":true}`, 201},
	{`POST /9/SIDE/upstreams/u/servers {"server":"127.0.0.1:2","wait":1} !`, 400},
	{`POST /9/SIDE/upstreams/u/servers {"server":"127.0.0.1:3","weight":-1}`, 400},
	{`POST /9/SIDE/upstreams/u/servers {"weight":1} !`, 400},
	{`POST /9/SIDE/upstreams/none/servers {"server":"127.0.0.1:2"}`, 404},
	{`PATCH /9/SIDE/upstreams/u/servers/0 {"down":false,"fail_timeout":"5s"}`, 200},
	{`PATCH /9/SIDE/upstreams/u/servers/99 {"down":false}`, 404},
	{`PATCH /9/SIDE/upstreams/u/servers/x {"down":false}`, 400},
	{`GET /9/SIDE/upstreams/u/servers/x`, 400},
	{`GET /9/SIDE/upstreams?fields=`, 200},
	{`DELETE /9/SIDE/upstreams/u/servers/99`, 404},
	{`DELETE /9/SIDE/upstreams/u/servers/0`, 200},
	{`GET /9/SIDE/upstreams/u/servers/0`, 404},
	{`GET /9/SIDE/upstreams/u/changes`, 200},
	{`GET /9/SIDE/upstreams/none/changes`, 404},
	{`GET /9/SIDE/upstreams/u/servers`, 200},
	{`DELETE /9/SIDE/upstreams/u/changes`, 204},
	{`DELETE /9/SIDE/upstreams/u`, 204},
}

// TestAPIIsAsDocumented: a running node answers as its OpenAPI document says, reads and writes, errors included.
func TestAPIIsAsDocumented(t *testing.T) {
	d := documentedNode(t)
	for path, methods := range d.operations() {
		if slices.Contains(methods, "GET") {
			if got, text := d.call("GET " + filled(path)); got != 200 {
				t.Errorf("GET %s: %d %s", path, got, text)
			}
		}
	}
	for _, side := range []string{"http", "stream"} {
		for _, c := range callsOfBothSides {
			call := strings.Replace(c.call, "SIDE", side, 1)
			if side == "stream" {
				call = strings.NewReplacer("keyvals/pairs", "keyvals/spairs", "fields=pairs", "fields=spairs").Replace(call)
			}
			if got, text := d.call(call); got != c.want {
				t.Errorf("%s: %d, want %d: %s", call, got, c.want, text)
			}
		}
	}
	for call, want := range map[string]int{
		`POST /9/http/keyvals/lasting {"a":{"value":"1","expire":1}}`:            400,
		`POST /9/http/keyvals/lasting {"a":"` + strings.Repeat("x", 2000) + `"}`: 413,
		`POST /9/http/upstreams/static/servers {"server":"127.0.0.1:2"}`:         400,
		`GET /9/http/upstreams/static`:                                           400,
		`GET /9/http/upstreams/alone/changes`:                                    400,
		`DELETE /9/http/upstreams/alone/changes`:                                 400,
		`GET /10/nginx !`:                                                        404,
		`GET /9/http/caches/none`:                                                404,
		`DELETE /9/http/caches/none`:                                             404,
		`GET /9/slabs/none`:                                                      404,
		`GET /9/nginx?fields=%zz`:                                                400,
		`DELETE /9/http/server_zones/none`:                                       404,
	} {
		if got, text := d.call(call); got != want {
			t.Errorf("%s: %d, want %d: %s", call, got, want, text)
		}
	}
	for path, methods := range d.operations() {
		if slices.Contains(methods, "DELETE") && !strings.Contains(path, "{server}") {
			if got, text := d.call("DELETE " + filled(path)); got != 204 {
				t.Errorf("DELETE %s: %d %s", path, got, text)
			}
		}
	}
	for _, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if !d.used[operation.OperationID] {
				t.Errorf("%s %s was never answered with success", method, operation.OperationID)
			}
		}
	}
}

// TestRoutesAreThoseOfTheDocument: each resource of the node is in the document, each path of the document is one of
// the node, and both have the same methods. Where writes are off, none of them works.
func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	d := documentedNode(t)
	operations := d.operations()
	send := func(method, url string) *http.Response {
		request, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	for path, methods := range operations {
		for _, method := range []string{"POST", "PATCH", "DELETE", "PUT"} {
			if slices.Contains(methods, method) {
				continue // TestAPIIsAsDocumented calls them
			}
			answer := send(method, d.url+filled(path))
			if answer.StatusCode != 405 {
				t.Errorf("%s %s is not in the document: %s", method, path, answer.Status)
			} else if err := d.isError(answer); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
		}
		for _, method := range methods {
			answer := send(method, strings.TrimSuffix(d.url, "api")+"read"+filled(path))
			if want := map[bool]int{true: 200, false: 405}[method == "GET"]; answer.StatusCode != want {
				t.Errorf("%s %s without writes: %s, want %d", method, path, answer.Status, want)
			}
		}
	}
	for _, names := range []string{"", "/http", "/stream", "/starling", "/starling/http", "/starling/stream"} {
		answer := send("GET", d.url+"/9"+names)
		var list []string
		if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		for _, name := range list {
			if _, there := operations["/{version}"+names+"/"+name]; !there {
				t.Errorf("%s/%s is not in the document", names, name)
			}
		}
	}
	for _, r := range plan.Part[admin.Catalog](d.host.Current().Plan()).Resources {
		if _, there := operations["/{version}/"+r.Path]; !there {
			t.Errorf("the resource %s is not in the document", r.Path)
		}
		if answer := send("GET", d.url+"/9/"+r.Path+"/no-such-name"); !below(operations, "/{version}/"+r.Path) {
			text, err := io.ReadAll(answer.Body)
			if err != nil || !strings.Contains(string(text), `"PathNotFound"`) {
				t.Errorf("%s has names, which are not in the document: %s", r.Path, text)
			}
		}
	}
}

// below reports whether the document has names below a path.
func below(operations map[string][]string, path string) bool {
	for other := range operations {
		if strings.HasPrefix(other, path+"/{") {
			return true
		}
	}
	return false
}
