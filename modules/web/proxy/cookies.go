package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// beginRule forgets the inherited rules before the first one of a block, and reports whether that is "off". Then it is
// the only one.
func beginRule[T any](to *[]T, a *conf.Args) (off bool, err error) {
	first := a.FirstWrite(to)
	switch {
	case first:
		*to = nil
	case len(*to) == 0: // after "off"
		return false, conf.IsDuplicate
	}
	switch {
	case len(a.Words) != 1:
		return false, nil
	case a.Words[0] != "off":
		return false, fmt.Errorf("invalid parameter \"%s\"", a.Words[0])
	case !first:
		return false, conf.IsDuplicate
	}
	return true, nil
}

func addCookieRule(to *[]rule, a *conf.Args, domain bool) error {
	if err := checkWords(a); err != nil {
		return err
	}
	if off, err := beginRule(to, a); off || err != nil {
		return err
	}
	if domain {
		words := *a
		words.Words = []string{strings.TrimPrefix(a.Words[0], "."), a.Words[1]}
		if !strings.HasPrefix(a.Words[0], "~") {
			words.Words[1] = strings.TrimPrefix(a.Words[1], ".")
		}
		a = &words
	}
	w, err := readRule(a, domain)
	*to = append(*to, w)
	return err
}

// flagRule is one proxy_cookie_flags: the changes to the flags of some cookies.
type flagRule struct {
	name  value
	regex *web.Regex // replaces name
	flags []vars.Template[*web.Request]
}

func addFlagRule(s *Settings, a *conf.Args) error {
	if off, err := beginRule(&s.cookieFlags, a); off || err != nil {
		return err
	}
	var f flagRule
	var err error
	if pattern, isRegex := strings.CutPrefix(a.Words[0], "~"); isRegex {
		f.regex, err = web.Side.Regex(side.PlanOf(a), pattern, true)
	} else {
		f.name, err = web.Side.Compile(a, pattern)
	}
	if err != nil {
		return err
	}
	for _, word := range a.Words[1:] {
		t, err := web.Side.Compile(a, word)
		if err != nil {
			return err
		}
		if text, literal := t.Literal(); literal && !knownFlag(text) {
			return fmt.Errorf("invalid parameter \"%s\"", word)
		}
		f.flags = append(f.flags, t)
	}
	s.cookieFlags = append(s.cookieFlags, f)
	return nil
}

func knownFlag(text string) bool {
	switch strings.ToLower(text) {
	case "secure",
		"nosecure",
		"httponly",
		"nohttponly",
		"samesite=strict",
		"samesite=lax",
		"samesite=none",
		"nosamesite":
		return true
	}
	return false
}

func (f *flagRule) matches(r *web.Request, name []byte) bool {
	if f.regex != nil {
		return f.regex.Match(r, name)
	}
	return ascii.Equal(name, r.Expand(&f.name))
}

// passCookie passes Set-Cookie on.
func (p *common) passCookie(r *web.Request, h *h1.Header) {
	out, passed := &r.Out, *h
	if len(p.cookieDomains)+len(p.cookiePaths)+len(p.cookieFlags) > 0 {
		passed.Value = p.changeCookie(r, h.Value)
	}
	out.Headers = append(out.Headers, passed)
}

// attribute is one part of a cookie; a nil value means none, unlike an empty one.
type attribute struct{ key, value []byte }

// changeCookie applies the rules to a cookie. A cookie that matches no rule stays byte by byte.
func (p *common) changeCookie(r *web.Request, cookie []byte) []byte {
	var parts []attribute
	for _, part := range bytes.Split(cookie, []byte(";")) {
		key, text, ok := bytes.Cut(part, []byte("="))
		a := attribute{key: bytes.Trim(key, " ")}
		if ok {
			a.value = bytes.Trim(text, " ")
		}
		parts = append(parts, a)
	}
	if parts[0].value == nil {
		return cookie
	}
	changed := false
	for i := range parts[1:] {
		changed = p.changeAttribute(r, &parts[i+1]) || changed
	}
	for i := range p.cookieFlags {
		if f := &p.cookieFlags[i]; f.matches(r, parts[0].key) {
			for j := range f.flags {
				var did bool
				parts, did = applyFlag(parts, strings.ToLower(string(r.Expand(&f.flags[j]))))
				changed = changed || did
			}
			break
		}
	}
	if !changed {
		return cookie
	}
	var out []byte
	for i, a := range parts {
		if i > 0 {
			out = append(out, "; "...)
		}
		out = append(out, a.key...)
		if a.value != nil {
			out = append(append(out, '='), a.value...)
		}
	}
	return out
}

// changeAttribute applies the rules for domains and paths to one attribute.
func (p *common) changeAttribute(r *web.Request, a *attribute) bool {
	if a.value == nil {
		return false
	}
	var rules []rule
	apply := (*rule).apply
	switch {
	case ascii.EqualString(a.key, "domain"):
		rules, apply = p.cookieDomains, (*rule).applyDomain
	case ascii.EqualString(a.key, "path"):
		rules = p.cookiePaths
	}
	for i := range rules {
		if to, ok := apply(&rules[i], r, a.value); ok {
			a.value = to
			return true
		}
	}
	return false
}

// applyFlag adds, changes or removes one flag; unknown words do nothing.
func applyFlag(parts []attribute, flag string) ([]attribute, bool) {
	if !knownFlag(flag) {
		return parts, false
	}
	name, without := strings.CutPrefix(flag, "no")
	name, mode, _ := strings.Cut(name, "=")
	at := -1
	for i := range parts[1:] {
		if ascii.EqualString(parts[i+1].key, name) {
			at = i + 1
		}
	}
	if without {
		if at < 0 {
			return parts, false
		}
		return append(parts[:at:at], parts[at+1:]...), true
	}
	a := attribute{key: []byte(spellings[name])}
	if mode != "" {
		a.value = []byte(strings.ToUpper(mode[:1]) + mode[1:])
	}
	switch {
	case at < 0:
		return append(parts, a), true
	case mode == "" || ascii.Equal(parts[at].value, a.value):
		return parts, false
	}
	parts[at] = a
	return parts, true
}

// spellings are the flags as they are written.
var spellings = map[string]string{"secure": "Secure", "httponly": "HttpOnly", "samesite": "SameSite"}
