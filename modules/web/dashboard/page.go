package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"starling/conf"
	"starling/web"
	"starling/web/h1"
)

// files are the parts of the page.
//
//go:embed page
var files embed.FS

// firstScript is the part of the script that runs before the first paint.
const firstScript = "first.js"

// scripts are the parts that run after it, in this order. They share one scope.
var scripts = []string{
	"base.js", "table.js", "chart.js", "api.js", "health.js", "mesh.js", "cluster.js", "pairs.js", "zones.js",
	"strict.js", "limits.js", "upstreams.js", "traffic.js", "errors.js", "app.js",
}

// page is the document in one piece, cut where the path of the API goes. One file without any other resource needs no
// path of its own, so it works in every kind of location and behind every prefix.
type page struct {
	before, after []byte
	policy        []byte // Content-Security-Policy
	digest        string
}

func newPage() (*page, error) {
	read := func(name string) ([]byte, error) { return fs.ReadFile(files, "page/"+name) }
	layout, err := read("index.html")
	if err != nil {
		return nil, err
	}
	style, err := read("style.css")
	if err != nil {
		return nil, err
	}
	first, err := read(firstScript)
	if err != nil {
		return nil, err
	}
	script := append([]byte("(() => {\n"), first...)
	script = append(script, "afterPaint(() => {\n"...)
	for _, name := range scripts {
		part, err := read(name)
		if err != nil {
			return nil, err
		}
		script = append(script, part...)
	}
	script = append(script, "});\n})();\n"...)
	layout = bytes.Replace(layout, []byte("STYLE"), style, 1)
	layout = bytes.Replace(layout, []byte("SCRIPT"), script, 1)
	before, after, found := bytes.Cut(layout, []byte("API"))
	if !found {
		return nil, fmt.Errorf("the page has no place for the path of the API")
	}
	sum := sha256.Sum256(layout)
	return &page{
		before: before, after: after, policy: []byte(policy(style, script)), digest: hex.EncodeToString(sum[:8]),
	}, nil
}

// policy lets the browser run this script and nothing else, connect to this server only, and show the page in no frame.
func policy(style, script []byte) string {
	return "default-src 'none'; script-src " + source(script) + "; style-src " + source(style) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
}

func source(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.on {
		return nil, nil
	}
	p, err := newPage()
	if err != nil {
		return nil, err
	}
	return func(r *web.Request) web.Result { return p.serve(r, s.api) }, nil
}

func (p *page) serve(r *web.Request, api string) web.Result {
	if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead {
		return http.StatusMethodNotAllowed
	}
	// There is no Cross-Origin-Opener-Policy: a browser starts another process for such a page, which delayed the first
	// paint by 30 ms of 110. A window that opened the page can only close it or open another one in its place.
	path := html.EscapeString(relative(string(r.Path), api))
	for _, field := range [][2]string{
		{"Cache-Control", "no-cache"},
		{"ETag", `"` + p.digest + "-" + hex.EncodeToString([]byte(path)) + `"`},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
	} {
		r.SetHeader([]byte(field[0]), []byte(field[1]))
	}
	r.SetHeader([]byte("Content-Security-Policy"), p.policy)
	text := make([]byte, 0, len(p.before)+len(path)+len(p.after))
	text = append(append(append(text, p.before...), path...), p.after...)
	return r.Respond(http.StatusOK, "text/html; charset=utf-8", text)
}

// relative is the path of the API as seen from the page, so that a proxy before the node may add a prefix to both.
func relative(page, api string) string {
	from, to := strings.Split(page, "/"), strings.Split(api, "/")
	same := 0
	for same < len(from)-1 && same < len(to)-1 && from[same] == to[same] {
		same++
	}
	steps := make([]string, 0, len(from)+len(to))
	for range len(from) - 1 - same {
		steps = append(steps, "..")
	}
	for _, name := range to[same:] {
		steps = append(steps, url.PathEscape(name))
	}
	if steps[0] != ".." {
		steps = append([]string{"."}, steps...) // a name with a colon is no scheme
	}
	return strings.Join(steps, "/")
}
