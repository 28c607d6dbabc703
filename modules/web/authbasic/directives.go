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
		Doc:   "Asks for a user name and a password, which are checked against a file.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "auth_basic", Syntax: "<realm>|off", Default: "off", In: places,
				Doc: "The realm, which may contain variables. The value `off`, also of a variable, asks for nothing.",
				Set: side.Template(&web.Side, func(s *Settings) *vars.Template[*web.Request] { return &s.Realm }),
			}, {
				Name: "auth_basic_user_file", Syntax: "<file>", In: places,
				Doc: "The file with lines `name:password`. Passwords: `$apr1$`, `$1$`, `$5$`, `$6$`, `$2y$` (bcrypt), `{SHA}`, `{SSHA}`, `{PLAIN}`; " +
					"DES crypt is refused. A changed file counts at once.",
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
