package rewrite

import (
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/web"
)

// Settings of one block. The commands belong to it; only the flags are inherited.
type Settings struct {
	commands []command
	Log      bool
	Warn     bool
}

// enter removes what a nested block does not inherit.
func enter(settings any, _ conf.Context) { settings.(*Settings).commands = nil }

// add keeps the commands in order.
func (s *Settings) add(c command) { s.commands = append(s.commands, c) }

func setBreak(s *Settings, _ *conf.Args) error {
	s.add(breakCommand{})
	return nil
}

// setReturn accepts a code, a code with a text, or a URL alone.
func setReturn(s *Settings, a *conf.Args) error {
	code, text := a.Words[0], ""
	given := len(a.Words) == 2
	if given {
		text = a.Words[1]
	}
	status, err := strconv.ParseUint(code, 10, 32)
	switch {
	case err != nil && !given && isRedirect(code):
		status, text, given = 302, code, true
	case err != nil, status > 999:
		return fmt.Errorf("invalid return code \"%s\"", code)
	}
	t, err := web.Side.Compile(a, text)
	if err != nil {
		return err
	}
	s.add(&returnCommand{status: int(status), text: t})
	return nil
}

// isRedirect reports whether a replacement leads to another server or scheme.
func isRedirect(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") ||
		strings.HasPrefix(text, "$scheme")
}

func setVariable(s *Settings, a *conf.Args) error {
	name, isVariable := strings.CutPrefix(a.Words[0], "$")
	if !isVariable || name == "" {
		return fmt.Errorf("invalid variable name \"%s\"", a.Words[0])
	}
	target, err := assignable(side.PlanOf(a), name)
	if err != nil {
		return err
	}
	value, err := compileText(a, a.Words[1])
	if err != nil {
		return err
	}
	s.add(&setCommand{target: target, value: value})
	return nil
}

func setRewrite(s *Settings, a *conf.Args) error {
	pattern, replacement := a.Words[0], a.Words[1]
	if replacement == "" {
		return fmt.Errorf("empty replacement")
	}
	re, err := web.Side.Regex(side.PlanOf(a), pattern, false)
	if err != nil {
		return err
	}
	c := &rewriteCommand{regex: re, pattern: pattern, keepQuery: true}
	if text, cut := strings.CutSuffix(replacement, "?"); cut {
		replacement, c.keepQuery = text, false
	}
	if isRedirect(replacement) {
		c.status, c.ends = 302, true
	}
	if len(a.Words) == 3 {
		if err := c.flag(a.Words[2]); err != nil {
			return err
		}
	}
	s.add(c)
	return c.compile(a, replacement)
}

// compile splits the replacement where its query begins. That of a redirect is one text.
func (c *rewriteCommand) compile(a *conf.Args, replacement string) (err error) {
	path, query, hasQuery := strings.Cut(replacement, "?")
	c.hasQuery = hasQuery
	if c.status != 0 {
		c.path, err = compileText(a, replacement)
		return err
	}
	if c.path, err = compileText(a, path); err == nil {
		c.query, err = compileText(a, query)
	}
	return err
}

func (c *rewriteCommand) flag(word string) error {
	c.ends = true
	switch word {
	case "last":
	case "break":
		c.stays = true
	case "redirect":
		c.status = 302
	case "permanent":
		c.status = 301
	default:
		return fmt.Errorf("invalid parameter \"%s\"", word)
	}
	return nil
}

func setIf(s *Settings, a *conf.Args) error {
	condition, err := parseCondition(a)
	if err != nil {
		return err
	}
	s.add(&ifCommand{condition: condition, node: a.Node})
	return nil
}
