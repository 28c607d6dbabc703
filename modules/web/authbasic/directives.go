// Package authbasic is auth_basic: user names and passwords from a file (RFC 7617).
package authbasic

import (
	"starling/conf"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location | conf.LimitExcept

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "auth_basic",
		Doc:   "HTTP basic authentication against a password file.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "auth_basic", Syntax: "<realm>|off", Default: "off", In: places,
				Doc: "Enables authentication with the realm, which can contain variables. `off`, also from a " +
					"variable, disables it.",
				Set: side.Template(&web.Side, func(s *Settings) *vars.Template[*web.Request] { return &s.Realm }),
			}, {
				Name: "auth_basic_user_file", Syntax: "<file>", In: places,
				Doc: "Sets the file with lines `name:password`. Supported hashes: `$apr1$`, `$1$`, `$5$`, `$6$`, " +
					"`$2y$` (bcrypt), `{SHA}`, `{SSHA}`, `{PLAIN}`; DES crypt is rejected. Changes to the file apply " +
					"immediately.",
				Set: conf.Raw(setUserFile),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Access, Build: build}},
}

// Settings of one block.
type Settings struct {
	Realm    vars.Template[*web.Request]
	UserFile vars.Template[*web.Request]
	hasFile  bool
}

func setUserFile(s *Settings, a *conf.Args) (err error) {
	s.hasFile = true
	s.UserFile, err = web.Side.Compile(a, a.Words[0])
	return err
}
