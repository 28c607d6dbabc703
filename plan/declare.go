package plan

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/units"
)

// ZoneError has all errors in the parameter zone=name:size. Its text is that of nginx's limit_req_zone and
// limit_conn_zone; a directive with other texts, or another order, formats its own.
type ZoneError struct {
	NoSize, BadSize, TooSmall, NoName bool

	Directive string
	Text      string // as written, without "zone="
	Name      string
}

func (e *ZoneError) Error() string {
	switch {
	case e.NoSize || e.BadSize:
		return fmt.Sprintf("invalid zone size \"zone=%s\"", e.Text)
	case e.TooSmall:
		return fmt.Sprintf("zone \"zone=%s\" is too small", e.Text)
	}
	return fmt.Sprintf("\"%s\" must have \"zone\" parameter", e.Directive)
}

// DeclareZone declares the zone of a directive's parameter zone=name:size for a use. The error is a *ZoneError if the
// parameter itself is wrong.
func (p *Plan) DeclareZone(a *conf.Args, use string) (*Zone, error) {
	name, sizeText, sized := strings.Cut(a.Value("zone"), ":")
	size, err := units.Size(sizeText)
	e := ZoneError{
		NoSize: !sized, BadSize: sized && err != nil, TooSmall: sized && err == nil && size < MinZoneBytes,
		NoName:    name == "",
		Directive: a.Node.Name, Text: a.Value("zone"), Name: name,
	}
	if e.NoSize || e.BadSize || e.TooSmall || e.NoName {
		return nil, &e
	}
	return p.Zones.Declare(name, use, size, a.Node.File, a.Node.Line)
}
