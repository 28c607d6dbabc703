// Package side is the common part of http and stream, nginx's two subsystems: variables and templates, the slots in
// which requests and sessions keep values, regular expressions with captures; and listening: addresses and their
// servers, handshakes, and the gate that counts a site's connections.
//
// Everything is generic in the subject being served: *web.Request or *stream.Session.
package side

import (
	"context"
	"fmt"
	"net/netip"

	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	"starling/vars"
)

// Subject is what a side serves: a request or a session.
type Subject interface {
	SideState() *State
	// Copy copies bytes for as long as the subject lives.
	Copy(b []byte) []byte
	// Client is the client's address, the zero Addr for a unix socket. realip may have replaced it.
	Client() netip.Addr
	// Plan is the configuration that serves the subject.
	Plan() *plan.Plan
	Now() clock.Reading
	// Context is cancelled when the subject must end by force.
	Context() context.Context
	// Logf writes to the error log of the subject's location or server.
	Logf(level logs.Level, format string, args ...any)
}

// Side is http or stream.
type Side[C Subject] struct {
	Name  string       // "http", as in names of zones and paths of the API
	Many  string       // "requests", for texts
	Block conf.Context // of the outermost block
}

// part is a side's state for one configuration.
type part[C Subject] struct {
	variables *vars.Table[C]
	slots     int
	slotNames map[string]int // of SlotVariable
	unset     map[int]func(C)
	otherwise map[int]member[C] // whose value a slot variable has before it is set
}

func partOf[C Subject](p *plan.Plan) *part[C] {
	w := plan.Part[part[C]](p)
	if w.variables == nil {
		w.variables = vars.NewTable[C]()
	}
	return w
}

// PlanOf returns the plan of a setter.
func PlanOf(a *conf.Args) *plan.Plan { return a.Env.(*plan.Plan) }

// Variables is the side's table in a configuration.
func (s *Side[C]) Variables(p *plan.Plan) *vars.Table[C] { return partOf[C](p).variables }

// Unknown binds the variables in templates to their declarations, after the whole configuration was read, and returns a
// problem for each undeclared variable.
func (s *Side[C]) Unknown(p *plan.Plan) (problems conf.Problems) {
	for _, u := range s.Variables(p).Resolve() {
		n, _ := u.Where.(*conf.Node)
		problem := conf.At(n, "%s", u.Error())
		problem.Kind, problem.Name = conf.UnknownWord, "$"+u.Name
		if _, known := conf.KnownVariable(u.Name); known {
			problem.What = fmt.Sprintf("variable \"$%s\" is not supported by starling", u.Name)
			problem.Kind = conf.NotSupported
		}
		problems = append(problems, problem)
	}
	return problems
}

// Compile compiles a text with variables while the configuration is bound. Unknown reports its variables at the
// directive's location.
func (s *Side[C]) Compile(a *conf.Args, text string) (vars.Template[C], error) {
	return s.Variables(PlanOf(a)).Compile(text, a.Node)
}

// Template makes a setter of one value with variables, the directive's first argument.
func Template[S any, C Subject](s *Side[C], place func(*S) *vars.Template[C]) conf.Setter {
	return func(settings any, a *conf.Args) error {
		t, err := s.Compile(a, a.Words[0])
		if err != nil {
			return err
		}
		*place(settings.(*S)) = t
		return nil
	}
}
