package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/document"
)

// condition is the condition in the parentheses of an if.
type condition interface {
	holds(m *machine) bool
}

// parseCondition reads the words of an if as nginx does: with or without spaces next to the parentheses.
func parseCondition(a *conf.Args) (condition, error) {
	words := slices.Clone(a.Words)
	first, last := 0, len(words)-1
	if !strings.HasPrefix(words[0], "(") {
		return nil, invalidCondition(words[0])
	}
	if words[0] == "(" {
		first = 1
	} else {
		words[0] = words[0][1:]
	}
	if !strings.HasSuffix(words[last], ")") {
		return nil, invalidCondition(words[last])
	}
	if words[last] == ")" {
		last--
	} else {
		words[last] = strings.TrimSuffix(words[last], ")")
	}
	if first > last { // "( )": nginx uses the first word as the condition
		return nil, invalidCondition(")")
	}
	words = words[first : last+1]
	switch word := words[0]; {
	case len(word) > 1 && word[0] == '$':
		return parseComparison(a, words)
	case len(word) == 2 && word[0] == '-', len(word) == 3 && word[:2] == "!-":
		return parseFileTest(a, words)
	}
	return nil, invalidCondition(words[0])
}

func invalidCondition(word string) error { return fmt.Errorf("invalid condition \"%s\"", word) }

// parseComparison reads a variable alone, or a variable, an operator and a value.
func parseComparison(a *conf.Args, words []string) (condition, error) {
	if len(words) != 1 && len(words) != 3 {
		return nil, invalidCondition(words[0])
	}
	use, err := web.Side.Variables(side.PlanOf(a)).Variable(words[0], a.Node)
	if err != nil {
		return nil, err
	}
	if len(words) == 1 {
		return &isTrue{use}, nil
	}
	switch operator, word := words[1], words[2]; operator {
	case "=", "!=":
		value, err := compileText(a, word)
		return &isEqual{use, value, operator == "="}, err
	case "~", "~*", "!~", "!~*":
		re, err := web.Side.Regex(side.PlanOf(a), word, strings.HasSuffix(operator, "*"))
		return &matches{use, re, word, operator[0] != '!'}, err
	}
	return nil, fmt.Errorf("unexpected \"%s\" in condition", words[1])
}

// isTrue holds for values other than "" and "0".
type isTrue struct{ use *vars.Use[*web.Request] }

func (c *isTrue) holds(m *machine) bool {
	v := m.value(c.use)
	return len(v) > 0 && !(len(v) == 1 && v[0] == '0')
}

type isEqual struct {
	use   *vars.Use[*web.Request]
	value text
	want  bool
}

func (c *isEqual) holds(m *machine) bool {
	left := m.value(c.use)
	return bytes.Equal(left, m.text(&c.value)) == c.want
}

type matches struct {
	use     *vars.Use[*web.Request]
	regex   *web.Regex
	pattern string
	want    bool
}

func (c *matches) holds(m *machine) bool {
	return m.match(c.regex, c.pattern, m.value(c.use)) == c.want
}

// parseFileTest reads -f, -d, -e or -x, optionally negated, and a path.
func parseFileTest(a *conf.Args, words []string) (condition, error) {
	operator, positive := words[0], true
	if operator[0] == '!' {
		operator, positive = operator[1:], false
	}
	test := fileTests[operator[1]]
	if len(words) != 2 || test == nil {
		return nil, invalidCondition(words[0])
	}
	path, err := compileText(a, words[1])
	return &fileTest{path, test, positive}, err
}

type fileTest struct {
	path text
	test func(fs.FileInfo) bool
	want bool
}

var fileTests = map[byte]func(fs.FileInfo) bool{
	'f': func(i fs.FileInfo) bool { return i.Mode().IsRegular() },
	'd': func(i fs.FileInfo) bool { return i.IsDir() },
	'e': func(i fs.FileInfo) bool { return i.Mode().IsRegular() || i.IsDir() },
	'x': func(i fs.FileInfo) bool { return i.Mode()&0o100 != 0 },
}

// holds checks the file now; a file that cannot be checked does not exist.
func (c *fileTest) holds(m *machine) bool {
	path := string(m.text(&c.path))
	info, err := document.Stat(m.r, path)
	if err == nil {
		return c.test(info) == c.want
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ENAMETOOLONG) {
		m.r.Logf(logs.Crit, "%v", errno.Call(document.CallOf(err), path, err))
	}
	return !c.want
}
