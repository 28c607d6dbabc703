package upstreams

import (
	"starling/conf"
	"starling/plan"
	"starling/upstream/balance"
	"starling/vars"
)

// Family is the upstream block of one side: S are that side's settings of a block, C is what keys of hashing balancers are read from.
type Family[S, C any] struct {
	Side
	// Block is the common part of the settings, Key where a hashing balancer's key is kept.
	Block     func(*S) *Block
	Key       func(*S) **vars.Template[C]
	Variables func(*plan.Plan) *vars.Registry[C]
	// Around are the resolver settings of the block around the upstream blocks.
	Around func(*conf.Scope) plan.ResolverSettings
	// ServerSyntax are the parameters of `server` that only this side has.
	ServerSyntax string
	ServerParams map[string]string // explains them
	// Displace takes away what a balancer written below it puts out of work, and tells whether there was any; nil where nothing can be.
	Displace func(*S) bool
}

// Declare makes the setter of `upstream`; of gives the groups of its side.
func Declare[G any, P Member[G]](of func(*plan.Plan) *Registry[G, P]) conf.Setter {
	return func(_ any, a *conf.Args) error {
		_, err := of(a.Env.(*plan.Plan)).declare(a)
		return err
	}
}

// Directives are those of the inside of a block that both sides have, the balancers among them.
func (f *Family[S, C]) Directives() []conf.Directive {
	all := directives(f.Side, f.Block, f.ServerSyntax, f.ServerParams)
	for _, m := range balance.Methods() {
		if m.Side == balance.BothSides || m.Side == f.balancers {
			all = append(all, conf.Directive{Name: m.Name, Syntax: m.Syntax, Doc: m.Doc, Params: m.Params, In: f.Upstream, Set: f.setMethod(m)})
		}
	}
	return all
}

func (f *Family[S, C]) setMethod(m balance.Method) conf.Setter {
	return conf.Raw(func(s *S, a *conf.Args) error {
		b, key := f.Block(s), f.Key(s)
		displaced := f.Displace != nil && f.Displace(s)
		if b.Method != nil || displaced {
			a.Warn("load balancing method redefined")
		}
		balancer, err := m.New(a.Words)
		if err != nil {
			return err
		}
		*key = nil
		if m.Keyed {
			t, err := f.Variables(a.Env.(*plan.Plan)).Compile(a.Words[0], a.Node)
			if err != nil {
				return err
			}
			*key = &t
		}
		b.Method, b.Balancer = &m, balancer
		return nil
	})
}

// Check says what a block lacks.
func (f *Family[S, C]) Check(s *S, scope *conf.Scope) error {
	if scope.In != f.Upstream {
		return nil
	}
	return f.Block(s).check(scope, f.Around(scope.Parent))
}

// Link makes the groups of the upstream blocks ready. own is called first, for what only the side's groups have.
func Link[S, C, G any, P Member[G]](f *Family[S, C], p *plan.Plan, of func(*plan.Plan) *Registry[G, P], own func(P, *S)) (problems conf.Problems) {
	for _, g := range of(p).All() {
		b := g.base()
		if !b.Declared {
			continue
		}
		s := conf.SettingsOf[S](b.Scope)
		own(g, s)
		if err := f.Block(s).link(p, b, before(p, of, b.Name), f.Around(b.Scope.Parent)); err != nil {
			problems = append(problems, conf.At(b.Scope.Node, "%s in upstream \"%s\"", err, b.Name))
		}
	}
	return problems
}
