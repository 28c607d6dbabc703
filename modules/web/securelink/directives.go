// Package securelink is secure_link: it checks that a link was made by somebody who knows a secret, and its age.
package securelink

import (
	"errors"

	"starling/conf"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "secure_link",
		Doc:   "Checks links that are protected by a hash with a secret, and their expiry.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{
			{
				Name: "secure_link", Syntax: "<hash>[,<expires>]", In: places,
				Doc: "Sets the text with the hash of a link, in base64url, and optionally its time of expiry in " +
					"seconds since 1970, after a comma. Usually it has variables: `$arg_md5,$arg_expires`.",
				Set: setTemplate(func(s *Settings) *vars.Template[*web.Request] { return &s.link }),
			}, {
				Name: "secure_link_md5", Syntax: "<expression>", In: places,
				Doc: "Sets the text whose MD5 hash must be that of the link. It should have the secret, the URI, and " +
					"the time of expiry.",
				Set: setTemplate(func(s *Settings) *vars.Template[*web.Request] { return &s.text }),
			}, {
				Name: "secure_link_secret", Syntax: "<word>", In: conf.Location,
				Doc: "Checks URIs of the form `/prefix/hash/link`, where the hash is the MD5 hash of link and secret " +
					"in hexadecimal. It cannot be combined with `secure_link` and `secure_link_md5` in a block.",
				Set: conf.Raw(setSecret),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{
		{
			Name: "secure_link",
			Doc: "`1` for a right link, `0` for an expired one, otherwise empty; with `secure_link_secret`, the link " +
				"without prefix and hash, empty if the hash is wrong.",
			Append: appendLink,
		}, {
			Name:   "secure_link_expires",
			Doc:    "The time of expiry in the link.",
			Append: appendExpires,
		},
	},
}

// Settings of one block. A secret, and link with text, exclude each other: what a block sets drops the other that it
// inherits.
type Settings struct {
	link, text                 vars.Template[*web.Request]
	secret                     []byte
	secretHere, linkOrTextHere bool // set in this block itself
}

func enter(settings any, _ conf.Context) {
	s := settings.(*Settings)
	s.secretHere, s.linkOrTextHere = false, false
}

var errMixed = errors.New(`"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"`)

func setSecret(s *Settings, a *conf.Args) error {
	s.secretHere = true
	s.secret, s.link, s.text = []byte(a.Words[0]), vars.Template[*web.Request]{}, vars.Template[*web.Request]{}
	return s.mixed()
}

func setTemplate(place func(*Settings) *vars.Template[*web.Request]) conf.Setter {
	set := side.Template(&web.Side, place)
	return func(settings any, a *conf.Args) error {
		s := settings.(*Settings)
		s.linkOrTextHere, s.secret = true, nil
		if err := s.mixed(); err != nil {
			return err
		}
		return set(settings, a)
	}
}

func (s *Settings) mixed() error {
	if s.secretHere && s.linkOrTextHere {
		return errMixed
	}
	return nil
}
