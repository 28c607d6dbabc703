package process

import (
	"cmp"
	"fmt"
	"strings"

	"starling/conf"
	"starling/cycle"
	"starling/lib/similar"
)

// flatten splits joined errors, so that each problem gets a line, with what to do.
func flatten(err error) []error {
	if problems, ok := err.(conf.Problems); ok {
		out := make([]error, len(problems))
		for i, p := range problems {
			out[i] = advised(p)
		}
		return out
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// advised is a problem with what to do, unless it tells. nginx's form comes first, for programs that look for it.
func advised(p *conf.Problem) error {
	if text := advice(p); text != "" && !strings.Contains(p.What, text) {
		return fmt.Errorf("%w: %s", p, text)
	}
	return p
}

// advice says what to do about a problem, "" if its text tells all.
func advice(p *conf.Problem) string {
	switch p.Kind {
	case conf.NotSupported:
		return cmp.Or(p.Instead, conf.Instead(p.Name))
	case conf.UnknownWord:
		if alike := meant(p.Name); alike != "" {
			return fmt.Sprintf("did you mean \"%s\"?", alike)
		}
	}
	return ""
}

// meant is the known name that was probably mistyped.
func meant(name string) string {
	if variable, isVariable := strings.CutPrefix(name, "$"); isVariable {
		if alike := similar.Of(variable, conf.KnownVariables()); alike != "" {
			return "$" + alike
		}
		return ""
	}
	var known []string
	for _, m := range cycle.All() {
		for i := range m.Directives {
			known = append(known, m.Directives[i].Name)
		}
	}
	for _, k := range conf.KnownDirectives() {
		known = append(known, k.Name)
	}
	return similar.Of(name, known)
}
