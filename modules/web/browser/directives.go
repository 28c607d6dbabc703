// Package browser tells modern browsers from ancient ones by User-Agent.
package browser

import (
	"fmt"

	"starling/conf"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "browser",
		Doc:        "Variables that depend on the browser, by the User-Agent header, which clients can forge.",
		New:        func() any { return &Settings{modernValue: "1", ancientValue: "1"} },
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
	},
	Variables: variables(),
}

// Settings of one block. The first directive about modern browsers replaces all that the blocks around have of them, as
// does the first about ancient ones.
type Settings struct {
	modernGiven, ancientGiven bool
	modern                    [kinds]requirement
	listed                    bool // a modern browser is named
	unlisted                  bool // browsers that no directive names are modern
	ancient                   []string
	netscape4                 bool

	modernValue, ancientValue string
}

// requirement is the version from which on a browser is modern.
type requirement struct {
	given   bool
	version uint64
}

func directives() []conf.Directive {
	return []conf.Directive{
		{
			Name: "modern_browser", Syntax: "<browser> <version>\nunlisted", In: places, Repeat: true,
			Doc: "Sets the version from which on a browser is modern: `opera`, `msie`, `gecko` (Firefox), `safari` " +
				"or `konqueror`. With `unlisted`, browsers that no directive names are modern; by default they are " +
				"ancient.",
			Set: conf.Raw(setModern),
		},
		{
			Name: "ancient_browser", Syntax: "<text>...", In: places, Repeat: true,
			Doc: "Sets texts in `User-Agent` whose browsers are ancient; `netscape4` stands for versions up to 4 of " +
				"Netscape.",
			Set: conf.Raw(func(s *Settings, a *conf.Args) error {
				if a.FirstWrite(&s.ancientGiven) {
					s.ancient, s.netscape4 = nil, false
				}
				for _, word := range a.Words {
					if word == "netscape4" {
						s.netscape4 = true
						continue
					}
					s.ancient = append(s.ancient[:len(s.ancient):len(s.ancient)], word)
				}
				return nil
			}),
		},
		{
			Name: "modern_browser_value", Syntax: "<text>", Default: "1", In: places, Repeat: true,
			Doc: "Sets the value of `$modern_browser`; the last one counts.",
			Set: conf.Field(func(s *Settings) *string { return &s.modernValue }, conf.String),
		},
		{
			Name: "ancient_browser_value", Syntax: "<text>", Default: "1", In: places, Repeat: true,
			Doc: "Sets the value of `$ancient_browser`; the last one counts.",
			Set: conf.Field(func(s *Settings) *string { return &s.ancientValue }, conf.String),
		},
	}
}

func setModern(s *Settings, a *conf.Args) error {
	if a.FirstWrite(&s.modernGiven) {
		s.modern, s.listed, s.unlisted = [kinds]requirement{}, false, false
	}
	if len(a.Words) == 1 {
		if a.Words[0] != "unlisted" {
			return fmt.Errorf("unknown browser name \"%s\"", a.Words[0])
		}
		s.unlisted = true
		return nil
	}
	kind, known := kindOf(a.Words[0])
	if !known {
		return fmt.Errorf("unknown browser name \"%s\"", a.Words[0])
	}
	version, rest := parseVersion([]byte(a.Words[1]), 0)
	if len(rest) > 0 {
		return fmt.Errorf("invalid browser version \"%s\"", a.Words[1])
	}
	if !s.modern[kind].given { // nginx asks the first one only
		s.modern[kind], s.listed = requirement{true, version}, true
	}
	return nil
}

func variables() []vars.Variable[*web.Request] {
	of := func(name, doc string, value func(*web.Request) string) vars.Variable[*web.Request] {
		return vars.Variable[*web.Request]{
			Name: name, Doc: doc, Replaceable: true,
			Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) { return append(dst, value(r)...), true },
		}
	}
	return []vars.Variable[*web.Request]{
		of("modern_browser", "The value of `modern_browser_value` for a modern browser, otherwise empty.",
			func(r *web.Request) string {
				if s := conf.SettingsOf[Settings](r.Location.Scope); s.isModern(agentOf(r)) {
					return s.modernValue
				}
				return ""
			}),
		of("ancient_browser", "The value of `ancient_browser_value` for an ancient browser, otherwise empty.",
			func(r *web.Request) string {
				if s := conf.SettingsOf[Settings](r.Location.Scope); !s.isModern(agentOf(r)) {
					return s.ancientValue
				}
				return ""
			}),
		of("msie", "`1` for Internet Explorer, otherwise empty.", func(r *web.Request) string {
			if r.IsMSIE() {
				return "1"
			}
			return ""
		}),
	}
}
