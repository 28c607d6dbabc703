// Package referer is valid_referers: it tells whether a request comes from a page of a known site.
package referer

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/hostnames"
	"starling/nginx/regex"
	"starling/vars"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "referer",
		Doc:   "Detects requests from pages of other sites by the Referer header, which clients can forge.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Check: conf.CheckOf(check),
		Directives: []conf.Directive{{
			Name: "valid_referers", Syntax: "<referer>...", In: conf.Server | conf.Location, Repeat: true,
			Doc: "Sets the values of `Referer` for which `$invalid_referer` is empty: `none` (no such header), " +
				"`blocked` (one without scheme, as some proxies leave it), `server_names` (the names of this " +
				"virtual server), a name or mask of a host, optionally with the start of a path " +
				"(`*.example.org/galleries/`), or `~` and a regular expression that is matched against the text " +
				"after the scheme.",
			Set: conf.Raw(setValid),
		}},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name: "invalid_referer",
		Doc:  "`1` if `Referer` is none of `valid_referers`; otherwise empty.",
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			if conf.SettingsOf[Settings](r.Location.Scope).valid(r) {
				return dst, true
			}
			return append(dst, '1'), true
		},
		Replaceable: true,
	}},
}

// Settings of one block. The directive replaces all that the blocks around have.
type Settings struct {
	given                      bool // the directive applies
	none, blocked, serverNames bool
	hosts                      []host
	regexes                    []*regex.Regexp
	table                      *hostnames.Table[string] // the path that a host's referers begin with, by host
	hostRegexes                []*regex.Regexp          // of server_name, for the host alone
}

type host struct{ name, path string }

func setValid(s *Settings, a *conf.Args) error {
	if a.FirstWrite(&s.given) {
		*s = Settings{given: true}
	}
	for _, word := range a.Words {
		switch word {
		case "":
			return fmt.Errorf("invalid referer \"%s\"", word)
		case "none":
			s.none = true
			continue
		case "blocked":
			s.blocked = true
			continue
		case "server_names":
			s.serverNames = true
			continue
		}
		if pattern, isRegex := strings.CutPrefix(word, "~"); isRegex {
			if pattern == "" {
				return fmt.Errorf("empty regex in \"%s\"", word)
			}
			x, err := regex.Compile(pattern, true)
			if err != nil {
				return err
			}
			s.regexes = append(s.regexes, x)
			continue
		}
		name, path := word, ""
		if slash := strings.IndexByte(word, '/'); slash >= 0 {
			name, path = word[:slash], word[slash:]
		}
		s.hosts = append(s.hosts, host{strings.ToLower(name), path})
	}
	return nil
}

// check builds the table of a block; one that inherits everything has it already.
func check(s *Settings, scope *conf.Scope) error {
	if !s.given || s.table != nil {
		return nil
	}
	s.table = &hostnames.Table[string]{}
	if s.serverNames {
		for name, x := range conf.SettingsOf[web.Settings](scope).Names.All() {
			if x != nil {
				s.hostRegexes = append(s.hostRegexes, x.Regexp)
			} else {
				s.hosts = append(s.hosts, host{name: name})
			}
		}
	}
	for _, h := range s.hosts {
		switch err := s.table.Add(h.name, h.path); err {
		case nil:
		case hostnames.ErrTaken:
			return conf.AtEnd(scope.Node, "conflicting parameter \"%s\"", h.name)
		default:
			return conf.AtEnd(scope.Node, "invalid hostname or wildcard \"%s\"", h.name)
		}
	}
	if (s.none || s.blocked) && len(s.hosts) == 0 {
		return conf.AtEnd(scope.Node, "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" "+
			"directive without any valid referer")
	}
	return nil
}
