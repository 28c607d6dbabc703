package conf

import (
	_ "embed"
	"strings"
	"sync"
)

// knownText lists the directives of nginx and NGINX Plus by module and context.
//
//go:embed known.txt
var knownText string

// otherContext stands for blocks that starling does not support at all: mail, mgmt, oidc_provider, …
const otherContext = contextEnd

// KnownDirective is a directive of nginx or NGINX Plus.
type KnownDirective struct {
	Name   string
	Module string // nginx's name: "ngx_http_limit_req_module"
	Origin string // "", "plus" (only in NGINX Plus) or "addon" (a separately built module)
	In     Context
}

// KnownDirectives returns the table of all directives of nginx 1.31 and NGINX Plus, sorted by module. It must not be
// changed.
func KnownDirectives() []KnownDirective { return readKnown() }

var readKnown = sync.OnceValue(func() []KnownDirective {
	var all []KnownDirective
	var module, origin string
	for line := range strings.Lines(knownText) {
		if contexts, names, found := strings.Cut(line, ":"); found && strings.HasPrefix(line, " ") {
			in := knownContexts(strings.Fields(contexts))
			for _, name := range strings.Fields(names) {
				all = append(all, KnownDirective{Name: name, Module: module, Origin: origin, In: in})
			}
		} else if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			module, origin = words[0], strings.Join(words[1:], " ")
		}
	}
	return all
})

// knownIn maps each name to the contexts of all modules that have the directive.
var knownIn = sync.OnceValue(func() map[string]Context {
	sum := map[string]Context{}
	for _, k := range readKnown() {
		sum[k.Name] |= k.In
	}
	return sum
})

func knownContexts(words []string) Context {
	var in Context
	for _, word := range words {
		switch word {
		case "main":
			in |= Main
		case "events":
			in |= Events
		case "http":
			in |= HTTP
		case "server":
			in |= Server
		case "server-if":
			in |= ServerIf
		case "location":
			in |= Location
		case "location-if":
			in |= LocationIf
		case "limit_except":
			in |= LimitExcept
		case "upstream":
			in |= Upstream
		case "stream":
			in |= Stream
		case "stream-server":
			in |= StreamServer
		case "stream-upstream":
			in |= StreamUpstream
		default:
			in |= otherContext
		}
	}
	return in
}
