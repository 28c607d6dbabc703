package ssi

import (
	"bytes"
	"errors"
	"fmt"

	"starling/nginx/regex"
	"starling/web"
)

func (x *executing) ifCommand(next web.Next, g given) error {
	if x.condition != outside {
		return errors.New("the \"if\" command inside the \"if\" command")
	}
	return x.elif(next, g)
}

// elif is ngx_http_ssi_if.
func (x *executing) elif(next web.Next, g given) error {
	if x.chosen {
		x.output = false
		return nil
	}
	holds, err := x.holds(next.Request(), g["expr"])
	if err != nil {
		return err
	}
	x.output, x.chosen, x.condition = holds, holds, afterIf
	return nil
}

// holds evaluates $variable, $variable = text, $variable != text, and the same with /expression/.
func (x *executing) holds(r *web.Request, expr []byte) (bool, error) {
	end := 0
	for end < len(expr) && (isNameByte(expr[end]) || bytes.IndexByte([]byte(`${}"'`), expr[end]) >= 0) {
		end++
	}
	left, err := evaluate(r, bytes.ToLower(expr[:end]))
	if err != nil {
		return false, err
	}
	rest := bytes.TrimLeft(expr[end:], " ")
	if len(rest) == 0 {
		return len(left) > 0, nil
	}
	negated := bytes.HasPrefix(rest, []byte("!="))
	switch {
	case negated:
		rest = rest[2:]
	case rest[0] == '=':
		rest = rest[1:]
	default:
		return false, fmt.Errorf("invalid expression in \"%s\"", expr)
	}
	rest = bytes.TrimLeft(rest, " ")
	isExpression := len(rest) > 1 && rest[0] == '/'
	switch {
	case isExpression && rest[len(rest)-1] != '/':
		return false, fmt.Errorf("invalid expression in \"%s\"", expr)
	case isExpression:
		rest = rest[1 : len(rest)-1]
	case bytes.HasPrefix(rest, []byte(`\/`)) && len(rest) > 2:
		rest = rest[1:]
	}
	right, err := evaluate(r, rest)
	if err != nil {
		return false, err
	}
	if !isExpression {
		return bytes.Equal(left, right) != negated, nil
	}
	matched, err := x.state.page.match(left, string(right))
	return matched != negated, err
}

// match matches an expression of the page; its captures become variables.
func (p *page) match(text []byte, pattern string) (bool, error) {
	compiled, err := regex.Compile(pattern, false)
	if err != nil {
		return false, err
	}
	var captures regex.Captures
	matched, err := compiled.Match(text, &captures)
	if err != nil || !matched {
		return false, err
	}
	for group, name := range compiled.Names() {
		if name == "" {
			continue
		}
		value, _ := captures.Group(group)
		if err := p.set(name, value); err != nil {
			return false, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.captures = captures
	return true, nil
}
