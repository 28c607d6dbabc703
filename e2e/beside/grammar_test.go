package beside

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// node is one directive of a generated configuration.
type node struct {
	name, words string
	opens       bool
	block       []*node
	fixed       bool // nothing works without it: shrinking keeps it
}

func leaf(name string, words ...string) *node {
	return &node{name: name, words: strings.Join(words, " ")}
}

func block(name, words string, in ...*node) *node {
	return &node{name: name, words: words, opens: true, block: in}
}

func (n *node) kept() *node {
	n.fixed = true
	return n
}

// printed is a configuration as text, one directive a line.
func printed(level []*node, depth int) string {
	var text strings.Builder
	for _, n := range level {
		text.WriteString(strings.Repeat("\t", depth))
		line := strings.TrimSpace(n.name + " " + n.words)
		if n.opens {
			fmt.Fprintf(&text, "%s {\n%s%s}\n", line, printed(n.block, depth+1), strings.Repeat("\t", depth))
		} else {
			text.WriteString(line + ";\n")
		}
	}
	return text.String()
}

// abilities are what the nginx to compare with has.
type abilities struct {
	version int // 1031005 is 1.31.5
	modules string
}

func (a abilities) has(module string) bool {
	return strings.Contains(a.modules, "--with-http_"+module+"_module")
}

func abilitiesOf(nginx string) (a abilities, err error) {
	output, err := exec.Command(nginx, "-V").CombinedOutput()
	if err != nil {
		return a, fmt.Errorf("%s -V: %w", nginx, err)
	}
	found := regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`).FindSubmatch(output)
	if found == nil {
		return a, fmt.Errorf("%s -V prints no version: %s", nginx, output)
	}
	for _, part := range found[1:] {
		n, err := strconv.Atoi(string(part))
		if err != nil {
			return a, err
		}
		a.version = a.version*1000 + n
	}
	a.modules = string(output)
	return a, nil
}

// grammar generates one configuration and the requests to it. What is generated adds to what later parts can use.
type grammar struct {
	r    *rand.Rand
	with abilities

	variables []string // of map, geo, split_clients, set, captures
	paths     []string // targets that select a location, without arguments
	named     []string // named locations of the server that is being made
	groups    []string // upstreams
	taken     map[string]bool
	limited   bool // some body can be too large
	serial    int
}

func (g *grammar) pick(some ...string) string { return some[g.r.IntN(len(some))] }

// one is true once in n times.
func (g *grammar) one(n int) bool { return g.r.IntN(n) == 0 }

// next is a number that was not used yet.
func (g *grammar) next() int {
	g.serial++
	return g.serial
}

// first is true for the first use of a key in a block.
func (g *grammar) first(key string) bool {
	if g.taken[key] {
		return false
	}
	g.taken[key] = true
	return true
}

var commonVariables = strings.Fields(`$uri $args $request_uri $host $http_host $arg_a $arg_b $request_method $is_args $query_string
	$document_uri $server_name $scheme $http_x_a $cookie_c $content_type $server_protocol $remote_addr $http_x_b
	$remote_user $http_user_agent $https $arg_ $http_cookie $proxy_add_x_forwarded_for`)

// variable is one that any context has, or one that was made.
func (g *grammar) variable() string {
	if len(g.variables) > 0 && g.one(2) {
		return g.pick(g.variables...)
	}
	return g.pick(commonVariables...)
}

// text is a value with variables, quoted.
func (g *grammar) text() string {
	switch g.r.IntN(6) {
	case 0:
		return g.pick("x", "yes", "1", "a-b")
	case 1:
		return `"` + g.pick("a b", "", "x;y", "{z}", "é", `it's`) + `"`
	case 2:
		return g.variable()
	}
	text := ""
	for range 1 + g.r.IntN(3) {
		v := g.variable()
		if g.one(3) && !strings.HasSuffix(v, "_") {
			v = "${" + v[1:] + "}"
		}
		text += g.pick("", "-", "/", "[", "x ", "|") + v + g.pick("", ".", "]", " y")
	}
	return `"` + text + `"`
}

// main is a whole configuration.
func (g *grammar) main() []*node {
	http := block("http", "", g.http()...).kept()
	return []*node{
		leaf("daemon", "off").kept(), leaf("master_process", "off").kept(), leaf("user", "root").kept(), leaf("pid", "DIR/pid").kept(),
		block("events", "").kept(), http,
	}
}

func (g *grammar) http() []*node {
	all := []*node{leaf("access_log", "DIR/access.log", "generated").kept()}
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		all = append(all, leaf(name+"_temp_path", "DIR/"+name).kept())
	}
	all = append(all, leaf("root", "ROOT").kept(),
		block("types", "", leaf("text/html", "html htm shtml"), leaf("text/plain", "txt"), leaf("image/gif", "gif")).kept())
	for range g.r.IntN(4) {
		all = append(all, g.source())
	}
	for range g.r.IntN(3) {
		all = append(all, g.upstream())
	}
	g.taken = map[string]bool{}
	for range g.r.IntN(5) {
		all = append(all, g.setting("http")...)
	}
	for range 1 + g.r.IntN(3) {
		all = append(all, g.server())
	}
	all[len(all)-1].kept()
	return append([]*node{g.logFormat().kept()}, all...)
}

// logged are what a line of the access log can have. Others differ for a reason: $sent_http_connection, $content_length, $request_method of a bad line and
// $request_completion (docs/compatibility.md), $request_length of a bad target, and lengths of pages with the server's name.
var logged = strings.Fields(`$status $request $uri $args $host $remote_user $sent_http_content_type
	$sent_http_location $sent_http_x_added $upstream_status $upstream_addr $upstream_http_x_answer $http_user_agent
	$connection_requests $request_uri $server_name $server_port $scheme $document_root $request_filename $realpath_root
	$sent_http_transfer_encoding $limit_rate $proxy_host $proxy_port
	$upstream_response_length $upstream_bytes_received $upstream_cookie_a $upstream_http_set_cookie $sent_http_etag $sent_http_cache_control
	$http_referer $remote_addr $pipe $is_args $query_string $sent_http_last_modified $sent_http_content_encoding $request_body
	$sent_http_vary $sent_http_accept_ranges $server_protocol $http_cookie $cookie_c $arg_a`)

func (g *grammar) logFormat() *node {
	words := []string{"generated"}
	switch g.r.IntN(4) {
	case 0:
		words = append(words, "escape=json")
	case 1:
		words = append(words, "escape=none")
	}
	fields := `'$status;$request;$uri`
	for range 3 + g.r.IntN(5) {
		fields += ";" + g.pick(logged...)
	}
	return leaf("log_format", append(words, fields+"'")...)
}

// source is a map, geo or split_clients.
func (g *grammar) source() *node {
	name := fmt.Sprintf("$v%d", g.next())
	from := g.variable()
	if g.one(4) {
		from = g.text()
	}
	var n *node
	switch g.r.IntN(5) {
	case 0:
		n = block("split_clients", from+" "+name, leaf("10%", "ten"), leaf("33.3%", "third"), leaf("*", g.pick("rest", `""`)))
	case 1:
		n = block("geo", g.pick("", "$arg_a ", "$http_x_a ")+name, leaf("default", g.pick("nowhere", `""`)), leaf("127.0.0.1", "home"),
			leaf("127.0.0.0/24", "near"), leaf("10.0.0.0/8", "ten"))
		if g.one(3) {
			n.block = append(n.block, g.geoOption())
		}
	default:
		n = block("map", from+" "+name, g.mapLines()...)
	}
	g.variables = append(g.variables, name)
	return n
}

func (g *grammar) geoOption() *node {
	switch g.r.IntN(4) {
	case 0:
		return leaf("proxy", "127.0.0.1")
	case 1:
		return leaf("proxy_recursive")
	case 2:
		return leaf("delete", "127.0.0.1")
	}
	return leaf("ranges")
}

func (g *grammar) mapLines() (lines []*node) {
	if g.one(3) {
		lines = append(lines, leaf("hostnames"))
	}
	if g.one(3) {
		lines = append(lines, leaf("volatile"))
	}
	if !g.one(4) {
		lines = append(lines, leaf("default", g.pick("none", `""`, g.text())))
	}
	used := map[string]bool{}
	for range g.r.IntN(6) {
		key := g.pick("a", "b", `""`, "one", "*.two", "www.*", ".three.org", "GET", "~^x(?<rest>.*)$", `~*^(A)(b?)`, `"~^/(\w+)"`, "~.*",
			"~^$", `\default`, `1`, "~(.)$",
			"two.example.com", "*.example.com", "/a", `"~a b"`, "~*EXAMPLE")
		if used[key] {
			continue
		}
		used[key] = true
		value := g.pick("one", "1", `"a b"`, g.text(), "0", `""`)
		if strings.HasPrefix(strings.Trim(key, `"`), "~") {
			value = g.pick("$1", `"[$1]"`, "m", `"$1-$2"`, "$uri", `""`)
			if strings.Contains(key, "<rest>") {
				value = g.pick("$rest", `"r $rest"`, "$1")
			}
		}
		lines = append(lines, leaf(key, value))
	}
	return lines
}

// upstream is a group, some of whose servers fail.
func (g *grammar) upstream() *node {
	name := fmt.Sprintf("group%d", g.next())
	n := block("upstream", name)
	if g.one(6) {
		n.block = append(n.block, leaf(g.pick("least_conn", "ip_hash", "hash $arg_a", "hash $uri consistent", "hash $arg_b")))
	}
	n.block = append(n.block, leaf("server", "BACKEND"))
	for range g.r.IntN(3) {
		options := g.pick("", "", "weight=2", "max_fails=0", "down", "max_fails=1 fail_timeout=60s", "max_fails=3")
		n.block = append(n.block, leaf("server", g.pick("NOBODY", "CLOSER", "BACKEND"), options))
	}
	if g.one(4) && !strings.Contains(printed(n.block, 0), "hash") {
		n.block = append(n.block, leaf("server", g.pick("BACKEND", "NOBODY"), "backup"))
	}
	g.groups = append(g.groups, name)
	return n
}

var serverNames = []string{"one", "two.example.com", "*.example.com", "www.*", ".three.org", `~^(?<who>\w+)\.re$`, `"~^four(\d+)$"`, `""`, "_",
	"ONE.upper", "*.com", "mail.*", "$hostname", "a.b.example.com"}

func (g *grammar) server() *node {
	g.taken = map[string]bool{}
	g.named = nil
	n := block("server", "")
	n.block = append(n.block, leaf("listen", "ADDRESS").kept())
	if !g.one(5) {
		var names []string
		for range 1 + g.r.IntN(3) {
			names = append(names, g.pick(serverNames...))
		}
		n.block = append(n.block, leaf("server_name", names...))
	}
	for range g.r.IntN(3) {
		g.named = append(g.named, fmt.Sprintf("@n%d", g.next()))
	}
	for range g.r.IntN(6) {
		n.block = append(n.block, g.setting("server")...)
	}
	for range g.r.IntN(3) {
		n.block = append(n.block, g.rewriting(0)...)
	}
	for _, name := range g.named {
		n.block = append(n.block, g.location(name, "", 1))
	}
	used := map[string]bool{}
	for range 2 + g.r.IntN(5) {
		if l := g.anyLocation("", 0, used); l != nil {
			n.block = append(n.block, l)
		}
	}
	if g.one(2) && !used["/"] {
		n.block = append(n.block, g.location("/", "/", 0))
	}
	return n
}
