package web

import (
	"starling/conf"
	"starling/logs"
	"starling/nginx/regex"
	"starling/plan"
	"starling/vars"
)

// Block is what a module builds a handler, a filter or a server from: one bound block and what surrounds it.
type Block struct {
	Scope *conf.Scope
	Plan  *plan.Plan
	// Server is the virtual server, Current the location being built; nil for a server's own handlers.
	Server  *Server
	Current *Location

	builder *builder
}

// part is what the http side keeps for a whole configuration.
type part struct {
	registry  *vars.Registry[*Request]
	slots     int
	prepared  bool
	slotNames map[string]int // of SlotVariable
	unset     map[int]func(*Request)
	spool     *bodySpool
	bodyDirs  []*bodyPath // to be made at start
}

func partOf(p *plan.Plan) *part {
	w := plan.Part[part](p)
	if w.registry == nil {
		w.registry = vars.NewRegistry[*Request]()
	}
	return w
}

// Variables is the registry of the http side of a configuration.
func Variables(p *plan.Plan) *vars.Registry[*Request] { return partOf(p).registry }

// NewSlot reserves a place that each request has of its own, for the values of `set` and for what a
// module remembers during a request. Call it while the configuration is bound or built.
func NewSlot(p *plan.Plan) int {
	w := partOf(p)
	w.slots++
	return w.slots - 1
}

// PlanOf is the plan that a setter works for.
func PlanOf(a *conf.Args) *plan.Plan { return a.Env.(*plan.Plan) }

// CompileTemplate compiles a text with variables while the configuration is bound. Variables that turn out unknown are
// reported at the directive's place.
func CompileTemplate(a *conf.Args, text string) (vars.Template[*Request], error) {
	return Variables(PlanOf(a)).Compile(text, a.Node)
}

// Template makes a setter of one value with variables, the directive's first argument.
func Template[S any](place func(*S) *vars.Template[*Request]) conf.Setter {
	return func(settings any, a *conf.Args) error {
		t, err := CompileTemplate(a, a.Words[0])
		if err != nil {
			return err
		}
		*place(settings.(*S)) = t
		return nil
	}
}

// Regex is a regular expression whose captures become $1 to $9 and, if they have names, variables.
type Regex struct {
	*regex.Regexp
	named []namedCapture
}

type namedCapture struct{ group, slot int }

// CompileRegex compiles an expression while the configuration is bound or built and declares its named captures as variables.
func CompileRegex(p *plan.Plan, pattern string, caseless bool) (*Regex, error) {
	re, err := regex.Compile(pattern, caseless)
	if err != nil {
		return nil, err
	}
	x := &Regex{Regexp: re}
	for group, name := range re.Names() {
		if name == "" {
			continue
		}
		slot, err := SlotVariable(p, name)
		if err != nil {
			return nil, err
		}
		x.named = append(x.named, namedCapture{group, slot})
	}
	return x, nil
}

// Match tells whether the subject matches, and if so sets the captures of the request. The subject is copied only if
// there is something to capture. A match that was given up is logged and ends the request with 500 when the phase ends:
// what a rule would have said is not known.
func (x *Regex) Match(r *Request, subject []byte) bool {
	matched, err := x.Regexp.Match(subject, &r.trial)
	if err != nil {
		r.regexFailed = true
		r.Logf(logs.Error, "%v on \"%s\" using \"%s\"", err, subject, x.Text())
	}
	if !matched {
		return false
	}
	if x.Groups() > 0 {
		r.adopt(subject)
		for _, n := range x.named {
			v, set := r.Captures.Group(n.group)
			*r.Slot(n.slot) = Slot{Value: v, Set: set}
		}
	}
	return true
}

// SlotVariable declares a variable that `set`, map-like directives or named captures store into, and returns its slot.
// A name may be declared so many times; it is one variable.
func SlotVariable(p *plan.Plan, name string) (int, error) {
	return partOf(p).slotVariable(p, name)
}
