package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/plan"
	"starling/side"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// rule replaces a text by another in headers of a response.
type rule struct {
	pattern     value
	regex       *web.Regex // replaces pattern
	replacement value
}

// apply changes text by the rule; false if it does not match. Patterns of redirects and paths match the beginning.
func (w *rule) apply(r *web.Request, text []byte) ([]byte, bool) {
	if w.regex != nil {
		if !w.regex.Match(r, text) {
			return text, false
		}
		return r.Copy(r.Expand(&w.replacement)), true
	}
	rest, ok := bytes.CutPrefix(text, r.Expand(&w.pattern))
	if !ok {
		return text, false
	}
	return r.Copy(append(w.replacement.Append(r.Scratch(), r), rest...)), true
}

// applyDomain is apply for whole domains, ignoring case, with or without a leading dot.
func (w *rule) applyDomain(r *web.Request, text []byte) ([]byte, bool) {
	if w.regex != nil {
		return w.apply(r, text)
	}
	dot, name := text[:0], text
	if len(text) > 0 && text[0] == '.' {
		dot, name = text[:1], text[1:]
	}
	if !ascii.Equal(name, r.Expand(&w.pattern)) {
		return text, false
	}
	return r.Copy(w.replacement.Append(append(r.Scratch(), dot...), r)), true
}

// readRule compiles pattern and replacement; regular expressions ignore case after "~*" and, if caseless, after "~".
func readRule(a *conf.Args, caseless bool) (w rule, err error) {
	pattern := a.Words[0]
	if rest, isRegex := strings.CutPrefix(pattern, "~"); isRegex {
		if !caseless {
			rest, caseless = strings.CutPrefix(rest, "*")
		}
		w.regex, err = web.Side.Regex(side.PlanOf(a), rest, caseless)
	} else {
		w.pattern, err = web.Side.Compile(a, pattern)
	}
	if err == nil {
		w.replacement, err = web.Side.Compile(a, a.Words[1])
	}
	return w, err
}

func checkWords(a *conf.Args) error {
	if len(a.Words) > 2 {
		return fmt.Errorf("invalid number of arguments in \"%s\" directive", a.Node.Name)
	}
	return nil
}

func addRedirect(s *Settings, a *conf.Args) error {
	if err := checkWords(a); err != nil {
		return err
	}
	if a.FirstWrite(&s.redirects) {
		s.redirects, s.redirectOff = nil, false
	} else if s.redirectOff || len(a.Words) == 1 && a.Words[0] == "off" {
		return conf.IsDuplicate
	}
	if len(a.Words) == 2 {
		w, err := readRule(a, false)
		s.redirects = append(s.redirects, w)
		return err
	}
	switch a.Words[0] {
	case "off":
		s.redirectOff = true
	case "default":
		switch {
		case s.Target == nil:
			return fmt.Errorf("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive")
		case s.Target.ByRequest != nil:
			return fmt.Errorf("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables")
		}
		w, err := defaultRedirect(side.PlanOf(a), s.Target, a.Node)
		s.redirects = append(s.redirects, w)
		return err
	default:
		return fmt.Errorf("invalid parameter \"%s\"", a.Words[0])
	}
	return nil
}

// defaultRedirect maps URLs of the server to those of the location. Both are literal: variables in them are not
// expanded.
func defaultRedirect(p *plan.Plan, t *forward.Target, where any) (w rule, err error) {
	from, to := t.URL, t.Location
	if t.URI == "" {
		from, to = t.URL+"/", "/"
	}
	if w.pattern, err = web.Side.Variables(p).Compile(from, where); err != nil {
		return w, err
	}
	w.replacement, err = web.Side.Variables(p).Compile(strings.ReplaceAll(to, "$", ""), where)
	return w, err
}

// redirectsOf are the rules for Location and Refresh of a location.
func (s *Settings) redirectsOf(p *plan.Plan) ([]rule, error) {
	switch {
	case s.redirectOff:
		return nil, nil
	case s.redirects != nil || s.Target.ByRequest != nil:
		return s.redirects, nil
	}
	w, err := defaultRedirect(p, s.Target, nil)
	return []rule{w}, err
}

// passLocation passes Location on. Only a changed one is made absolute, as in nginx.
func (p *common) passLocation(r *web.Request, h *h1.Header) {
	out := &r.Out
	for i := range p.rewrites {
		if changed, ok := p.rewrites[i].apply(r, h.Value); ok {
			if len(changed) > 0 && changed[0] == '/' {
				out.Location = changed
				return
			}
			out.Headers = append(out.Headers, h1.Header{Name: h.Name, Value: changed, ID: h.ID})
			return
		}
	}
	out.Headers = append(out.Headers, *h)
}

var urlWord = []byte("url=")

// passRefresh passes Refresh on, whose URL follows "url=".
func (p *common) passRefresh(r *web.Request, h *h1.Header) {
	out, passed := &r.Out, *h
	if at := bytes.Index(ascii.AppendLower(nil, h.Value), urlWord); at >= 0 {
		at += len(urlWord)
		for i := range p.rewrites {
			if changed, ok := p.rewrites[i].apply(r, h.Value[at:]); ok {
				passed.Value = append(h.Value[:at:at], changed...)
				break
			}
		}
	}
	out.Headers = append(out.Headers, passed)
}
