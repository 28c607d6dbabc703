package beside

// setting is one directive that any of http, server and location takes, with what it needs.
func (g *grammar) setting(in string) []*node {
	once, onOff := g.once, g.onOff
	switch n := g.r.IntN(34); n {
	case 0, 1, 2:
		name := g.pick("X-Added", "X-B", "Cache-Control", "Content-Language", "Last-Modified", "ETag", "Link", "X-Empty")
		return []*node{leaf("add_header", name, g.text(), g.pick("", "always"))}
	case 3:
		return once("expires", g.pick("1h", "-1", "epoch", "max", "off", "modified +1d", "$arg_a", "0", "modified -2h"))
	case 4:
		return onOff("etag")
	case 5, 6, 7:
		return []*node{g.errorPage(in)}
	case 8:
		return once("index", g.pick("index.html", "a.txt index.html", "missing $arg_a.html index.html", "none /index.html"))
	case 9:
		return onOff("absolute_redirect")
	case 10:
		return onOff("server_name_in_redirect")
	case 11:
		return onOff("port_in_redirect")
	case 12:
		if in == "location" {
			return once("internal")
		}
		return onOff("merge_slashes")
	case 13, 14:
		return g.access(in)
	case 15:
		if in != "location" {
			return onOff("underscores_in_headers")
		}
		return []*node{block("limit_except", g.pick("GET", "POST", "GET POST", "PROPFIND GET"), leaf(g.pick("deny all", "allow 127.0.0.9",
			"deny 127.0.0.1")))}
	case 16, 17:
		return g.substitution()
	default:
		return g.filterSetting(n, in)
	}
}

// once is a directive that a block takes once, or nothing.
func (g *grammar) once(name string, words ...string) []*node {
	if !g.first(name) {
		return nil
	}
	return []*node{leaf(name, words...)}
}

func (g *grammar) onOff(name string) []*node { return g.once(name, g.pick("on", "off")) }

// filterSetting is one of the settings that change bodies and heads.
func (g *grammar) filterSetting(n int, in string) []*node {
	once, onOff := g.once, g.onOff
	switch n {
	case 18:
		if !g.with.has("addition") {
			return nil
		}
		return append(once("add_before_body", g.pick("/a.txt", "/missing", "/pages/gone.html")), once("add_after_body", g.pick("/a.txt",
			"/p/after", "/pages/"))...)
	case 19:
		return once("charset", g.pick("utf-8", "koi8-r", "off"))
	case 20:
		return append(onOff("gzip"), append(once("gzip_min_length", g.pick("0", "5", "20")), once("gzip_types", g.pick("*", "text/plain"))...)...)
	case 21:
		return append(onOff("gzip_vary"), once("gzip_proxied", g.pick("any", "off", "no_etag", "expired no-cache", "auth"))...)
	case 22:
		if g.with.has("gunzip") {
			return onOff("gunzip")
		}
	case 23:
		return once("default_type", g.pick("text/html", "application/x-odd", `""`, "text/plain", "$arg_a"))
	case 24:
		return once("keepalive_timeout", g.pick("0", "5s", "2s 7s", "1m"))
	case 25:
		// Fewer would be reached: nginx does not look at them where a server or an internal location responds.
		return once("keepalive_requests", g.pick("100", "1000"))
	case 26:
		g.limited = true
		return once("client_max_body_size", g.pick("1", "5", "1k", "0", "20"))
	case 27:
		return once("chunked_transfer_encoding", g.pick("on", "off"))
	case 28:
		return once("max_ranges", g.pick("0", "1", "2"))
	case 29:
		return once("if_modified_since", g.pick("off", "exact", "before"))
	case 30:
		return onOff("recursive_error_pages")
	case 31:
		return append(onOff("ssi"), once("ssi_types", "*")...)
	case 32:
		return onOff("log_subrequest")
	case 33:
		if in == "location" {
			return append(once("autoindex", "on"), once("autoindex_format", g.pick("html", "json", "xml"))...)
		}
		return onOff("autoindex")
	}
	return nil
}

func (g *grammar) errorPage(in string) *node {
	codes := g.pick("404", "403 404", "500 502 503 504", "405", "401", "400", "404 410 418", "413", "301", "416", "302", "503", "497 494 400")
	how := g.pick("", "", "", "=", "=200", "=404", "=503", "=302", "=204", "=444")
	to := []string{"/pages/gone.html", "/a.txt", "/p/x", "/missing", "http://example.com/e", "/dir/", "/e?$args", "/pages/405.html",
		"/$arg_a", "$uri.html", "https://e/$uri"}
	if in != "http" {
		to = append(to, g.named...)
		to = append(to, g.named...)
	}
	return leaf("error_page", codes, how, g.pick(to...))
}

func (g *grammar) access(in string) (all []*node) {
	if !g.first("access") {
		return nil
	}
	if g.one(2) {
		all = append(all, leaf(g.pick("allow", "deny"), g.pick("127.0.0.1", "127.0.0.9", "127.0.0.0/29", "::1", "unix:")),
			leaf(g.pick("allow", "deny"), g.pick("all", "127.0.0.1", "127.0.0.9")))
	}
	if g.one(2) || all == nil {
		all = append(all, leaf("auth_basic", g.pick("realm", `"a b"`, "off", "$arg_a", `"q\"q"`)), leaf("auth_basic_user_file", "DIR/users"))
	}
	if g.one(2) {
		all = append(all, leaf("satisfy", g.pick("any", "all")))
	}
	return all
}

func (g *grammar) substitution() (all []*node) {
	if !g.with.has("sub") {
		return nil
	}
	for range 1 + g.r.IntN(2) {
		all = append(all, leaf("sub_filter", g.pick("ed", "index", "'</'", "0123", "e>", "$arg_b", "GET"), g.text()))
	}
	if g.first("sub") {
		all = append(all, leaf("sub_filter_once", g.pick("on", "off")), leaf("sub_filter_types", g.pick("*", "text/plain")),
			leaf("sub_filter_last_modified", g.pick("on", "off")))
	}
	return all
}
