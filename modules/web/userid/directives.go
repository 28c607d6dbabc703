// Package userid is userid: it gives clients a cookie by which the access log can tell them apart.
package userid

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "userid",
		Doc:   "Sets cookies that identify clients.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "userid", Syntax: "on | v1 | log | off", Default: "off", In: places,
				Doc: "Sets a cookie of version 2 (`on`) or 1 (`v1`) and reads the one received, or only " +
					"reads it (`log`).",
				Set: conf.Field(func(s *Settings) *mode { return &s.mode },
					conf.OneOf(map[string]mode{"off": modeOff, "log": modeLog, "v1": modeV1, "on": modeV2})),
			}, {
				Name: "userid_name", Syntax: "<name>", Default: "uid", In: places,
				Doc: "Sets the name of the cookie.",
				Set: conf.Field(func(s *Settings) *string { return &s.name }, conf.String),
			}, {
				Name: "userid_domain", Syntax: "<name>|none", Default: "none", In: places,
				Doc: "Sets the domain of the cookie.",
				Set: conf.Field(func(s *Settings) *string { return &s.domain }, attribute("domain")),
			}, {
				Name: "userid_path", Syntax: "<path>", Default: "/", In: places,
				Doc: "Sets the path of the cookie.",
				Set: conf.Field(func(s *Settings) *string { return &s.path }, func(word string) (string, error) {
					return "; path=" + word, nil
				}),
			}, {
				Name: "userid_expires", Syntax: "<time>|max|off", Default: "off", In: places,
				Doc: "Sets how long the browser keeps the cookie: until the end of 2037 with `max`, until it is " +
					"closed with `off`.",
				Set: conf.Field(func(s *Settings) *lifetime { return &s.expires }, parseLifetime),
			}, {
				Name: "userid_flags", Syntax: "<flag>...", Default: "off", In: places,
				Doc: "Adds attributes to the cookie: `secure`, `httponly`, `samesite=strict`, `samesite=lax`, " +
					"`samesite=none`.",
				Set: conf.Whole(func(s *Settings) *string { return &s.flags }, parseFlags),
			}, {
				Name: "userid_mark", Syntax: "<letter>|<digit>|=|off", Default: "off", In: places,
				Doc: "Sets the character at the end of a cookie that shows that it has all current attributes. " +
					"A cookie with another one is sent again with the same identifier.",
				Set: conf.Field(func(s *Settings) *byte { return &s.mark }, parseMark),
			}, {
				Name: "userid_service", Syntax: "<number>", In: places,
				DefaultDoc: "the last four bytes of the server's address; 0 for version 1",
				Doc: "Sets the first four bytes of an identifier. Servers behind one name must have different " +
					"numbers if they can have the same address.",
				Set: conf.Field(func(s *Settings) *service { return &s.service }, parseService),
			}, {
				Name: "userid_p3p", Syntax: "<text>|none", Default: "none", In: places,
				Doc: "Sets the `P3P` header to send with the cookie.",
				Set: conf.Field(func(s *Settings) *string { return &s.p3p }, orNone),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{
		{Name: "uid_got", Doc: "The cookie's name and the identifier received.", Append: appendGot},
		{Name: "uid_set", Doc: "The cookie's name and the identifier sent.", Append: appendSet},
		{
			Name: "uid_reset",
			Doc: "A value other than empty and `0` gives the client a new identifier; `log` also writes the old one " +
				"to the error log.",
			Append:      func(_ *web.Request, _ string, dst []byte) ([]byte, bool) { return dst, true },
			Replaceable: true,
		},
	},
	Filters: []web.FilterHook{{Build: build}},
}

// mode is the value of userid.
type mode int

const (
	modeOff mode = iota
	modeLog
	modeV1
	modeV2
)

// Settings of one block. Attributes have the form "; name=value" in which they are sent.
type Settings struct {
	mode                mode
	name                string
	domain, path, flags string
	expires             lifetime
	mark                byte // 0 without one
	service             service
	p3p                 string
}

// lifetime is that of a cookie.
type lifetime struct {
	max bool
	d   time.Duration // 0: until the browser is closed
}

// service is the number of a server.
type service struct {
	number uint32
	given  bool
}

func attribute(name string) func(string) (string, error) {
	return func(word string) (string, error) {
		if word == "none" {
			return "", nil
		}
		return "; " + name + "=" + word, nil
	}
}

func orNone(word string) (string, error) {
	if word == "none" {
		return "", nil
	}
	return word, nil
}

func parseLifetime(word string) (l lifetime, err error) {
	switch word {
	case "max":
		return lifetime{max: true}, nil
	case "off":
		return lifetime{}, nil
	}
	l.d, err = conf.Seconds(word)
	return l, err
}

var errMark = errors.New(`value must be "off" or a single letter, digit or "="`)

func parseMark(word string) (byte, error) {
	if word == "off" {
		return 0, nil
	}
	const marks = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
	if len(word) != 1 || !strings.Contains(marks, word) {
		return 0, errMark
	}
	return word[0], nil
}

func parseService(word string) (service, error) {
	n, err := conf.Number(word)
	return service{uint32(n), true}, err
}

// parseFlags returns the attributes in nginx's order.
func parseFlags(a *conf.Args) (text string, err error) {
	for _, word := range a.Words {
		switch strings.ToLower(word) {
		case "off", "secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none":
		default:
			return "", fmt.Errorf("invalid value \"%s\"", word)
		}
	}
	for _, flag := range []string{"secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none"} {
		for _, word := range a.Words {
			if strings.EqualFold(word, flag) && !strings.Contains(text, flag) {
				text += "; " + flag
			}
		}
	}
	return text, nil
}
