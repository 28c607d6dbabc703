// Package rewrite is nginx's rewrite module: set, if, return, rewrite and break.
package rewrite

import (
	"starling/conf"
	"starling/web"
)

// places are the blocks in which the commands may stand.
const places = conf.Server | conf.ServerIf | conf.Location | conf.LocationIf

// flagPlaces are those of the flags.
const flagPlaces = conf.HTTP | places

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "rewrite",
		Doc:   "Changes the URI with regular expressions, returns redirects and answers, and chooses settings by conditions.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{
			{
				Name: "rewrite", Syntax: "<regex> <replacement> [<flag>]", In: places, Repeat: true,
				Doc: "Replaces the URI if it matches. The flag is `last`, `break`, `redirect` or `permanent`.",
				Set: conf.Raw(setRewrite),
			}, {
				Name: "return", Syntax: "<code> [<text>]", In: places, Repeat: true,
				Doc: "Ends the request with a status, and a text or a URL to redirect to. A URL alone is a redirect with 302.",
				Set: conf.Raw(setReturn),
			}, {
				Name: "break", Syntax: "", In: places, Repeat: true,
				Doc: "Ends the commands of this family in this block.",
				Set: conf.Raw(setBreak),
			}, {
				Name: "set", Syntax: "<$variable> <value>", In: places, Repeat: true,
				Doc: "Gives a variable a value, which may contain variables.",
				Set: conf.Raw(setVariable),
			}, {
				Name: "if", Syntax: "<condition>...", In: conf.Server | conf.Location, Repeat: true,
				OpensIn: opensIf,
				Doc: "Runs the commands in the block if the condition holds; in a location the settings in the block then take the place of " +
					"the location's. Conditions: a variable that is not empty or `0`, `=`, `!=`, `~`, `~*`, `!~`, `!~*`, `-f`, `-d`, `-e`, `-x` and their negations with `!`.",
				Set: conf.Raw(setIf),
			}, {
				Name: "rewrite_log", Syntax: "on | off", Default: "off", In: flagPlaces,
				Doc: "Logs what the commands do, at level notice.",
				Set: conf.Field(func(s *Settings) *bool { return &s.Log }, conf.Flag),
			}, {
				Name: "uninitialized_variable_warn", Syntax: "on | off", Default: "on", In: flagPlaces,
				Doc: "Warns of variables that are read before they are set.",
				Set: conf.Field(func(s *Settings) *bool { return &s.Warn }, conf.Flag),
			},
		},
	},
	Handlers: []web.Hook{
		{Phase: web.ServerRewrite, Build: build},
		{Phase: web.Rewrite, Build: build},
	},
}

func opensIf(in conf.Context) conf.Context {
	if in == conf.Server {
		return conf.ServerIf
	}
	return conf.LocationIf
}
