// Package charset is charset: it names the charset of responses and converts them from one charset to another.
package charset

import (
	"slices"
	"strings"

	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const (
	places   = conf.HTTP | conf.Server | conf.Location
	placesIf = places | conf.LocationIf
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "charset",
		Doc:   "Adds a charset to Content-Type and converts responses.",
		New:   func() any { return &Settings{types: defaultTypes} },
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "charset", Syntax: "<charset>|off", Default: "off", In: placesIf,
				Doc: "Adds the charset to Content-Type. If `source_charset` is another one, the response is " +
					"converted, which needs a `charset_map`. It can be a variable.",
				Set: conf.Whole(func(s *Settings) *charsetName { return &s.to }, parseName),
			}, {
				Name: "source_charset", Syntax: "<charset>", In: placesIf, DefaultDoc: "—",
				Doc: "Sets the charset in which responses are made, unless their Content-Type says another. It can " +
					"be a variable.",
				Set: conf.Whole(func(s *Settings) *charsetName { return &s.from }, parseName),
			}, {
				Name: "override_charset", Syntax: "on | off", Default: "off", In: placesIf,
				Doc: "Converts responses of servers whose Content-Type has a charset, too.",
				Set: conf.Field(func(s *Settings) *bool { return &s.override }, conf.Flag),
			}, {
				Name: "charset_types", Syntax: "<type>...", In: places, Repeat: true,
				DefaultDoc: "`text/html text/xml text/plain text/vnd.wap.wml application/javascript " +
					"application/rss+xml`",
				Doc: "Sets the MIME types of responses to process in addition to text/html; `*` matches all. A " +
					"response whose Content-Type has a charset is processed whatever its type.",
				Set: web.SetMediaTypes(func(s *Settings) *web.MediaTypes { return &s.types }),
			}, {
				Name: "charset_map", Syntax: "<charset1> <charset2>", In: conf.HTTP, Opens: conf.Lines, Repeat: true,
				Doc: "Describes the conversion between two charsets in both directions. Each line has a code of the " +
					"first charset and one of the second, in hexadecimal; of utf-8, which must be the second, all " +
					"bytes of the character. Codes below 80 are the same in both.",
				Set: conf.Raw(declareMap),
			},
		},
		Check: conf.CheckOf(check),
	},
	Filters: []web.FilterHook{{Build: build}},
}

var defaultTypes = web.MediaTypesOf("text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript",
	"application/rss+xml")

// Settings of one block.
type Settings struct {
	to, from charsetName
	override bool
	types    web.MediaTypes
}

// charsetName is a charset that a directive names.
type charsetName struct {
	given    bool // not off
	text     []byte
	variable vars.Template[*web.Request] // if text is empty
}

func parseName(a *conf.Args) (n charsetName, err error) {
	word := a.Words[0]
	if word == "off" && a.Node.Name == "charset" {
		return n, nil
	}
	n.given = true
	if strings.HasPrefix(word, "$") {
		n.variable, err = web.Side.Compile(a, word)
		return n, err
	}
	n.text = []byte(word)
	plan.Part[part](side.PlanOf(a)).know(word)
	return n, nil
}

// value is the charset for one request.
func (n *charsetName) value(r *web.Request) []byte {
	if len(n.text) > 0 {
		return n.text
	}
	return r.Expand(&n.variable)
}

// part are the charsets of one configuration.
type part struct {
	known       []string // in lower case
	conversions map[pair]conversion
}

// pair are two charsets in lower case.
type pair struct{ from, to string }

func (w *part) know(charset string) {
	if charset = strings.ToLower(charset); !slices.Contains(w.known, charset) {
		w.known = append(w.known, charset)
	}
}

// check reports a conversion that no charset_map describes, if both charsets are known beforehand.
func check(s *Settings, scope *conf.Scope) error {
	from, to := strings.ToLower(string(s.from.text)), strings.ToLower(string(s.to.text))
	if from == "" || to == "" || from == to {
		return nil
	}
	if _, found := plan.Part[part](scope.Env().(*plan.Plan)).conversions[pair{from, to}]; !found {
		return conf.At(scope.Node, "no \"charset_map\" between the charsets \"%s\" and \"%s\"", s.from.text, s.to.text)
	}
	return nil
}
