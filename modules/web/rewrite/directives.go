// Package rewrite is nginx's rewrite module: set, if, return, rewrite and break.
package rewrite

import (
	"starling/conf"
	"starling/web"
)

// places are the blocks that allow the commands.
const places = conf.Server | conf.ServerIf | conf.Location | conf.LocationIf

// flagPlaces are those of the flags.
const flagPlaces = conf.HTTP | places

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name: "rewrite",
		Doc: "Rewrites URIs with regular expressions, returns redirects and texts, and selects settings by " +
			"conditions.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{
			{
				Name: "rewrite", Syntax: "<regex> <replacement> [<flag>]", In: places, Repeat: true,
				Doc: "Replaces the URI if it matches the regular expression. The flag is `last`, `break`, `redirect` " +
					"or `permanent`.",
				Set: conf.Raw(setRewrite),
			}, {
				Name: "return", Syntax: "<code> [<text>]", In: places, Repeat: true,
				Doc: "Returns a status with an optional text or redirect URL. A URL alone redirects with 302.",
				Set: conf.Raw(setReturn),
			}, {
				Name: "break", Syntax: "", In: places, Repeat: true,
				Doc: "Stops processing the rewrite directives of this block.",
				Set: conf.Raw(setBreak),
			}, {
				Name: "set", Syntax: "<$variable> <value>", In: places, Repeat: true,
				Doc: "Sets a variable to a value, which can contain variables.",
				Set: conf.Raw(setVariable),
			}, {
				Name: "if", Syntax: "<condition>...", In: conf.Server | conf.Location, Repeat: true,
				OpensIn: opensIf,
				Doc: "Runs the rewrite directives of the block if the condition is true; in a location, the settings " +
					"of the block then override those of the location. Conditions: a variable (true unless empty or " +
					"`0`), `=`, `!=`, `~`, `~*`, `!~`, `!~*`, and `-f`, `-d`, `-e`, `-x` with optional `!`.",
				Set: conf.Raw(setIf),
			}, {
				Name: "rewrite_log", Syntax: "on | off", Default: "off", In: flagPlaces,
				Doc: "Logs the results of rewrite directives at level notice.",
				Set: conf.Field(func(s *Settings) *bool { return &s.Log }, conf.Flag),
			}, {
				Name: "uninitialized_variable_warn", Syntax: "on | off", Default: "on", In: flagPlaces,
				Doc: "Logs a warning when an uninitialized variable is used.",
				Set: conf.Field(func(s *Settings) *bool { return &s.Warn }, conf.Flag),
			},
		},
	},
	Handlers: []web.Hook{
		{Phase: web.ServerRewrite, Build: build},
		{Phase: web.Rewrite, Build: buildLocation},
	},
}

func opensIf(in conf.Context) conf.Context {
	if in == conf.Server {
		return conf.ServerIf
	}
	return conf.LocationIf
}
