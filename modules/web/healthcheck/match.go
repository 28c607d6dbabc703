package healthcheck

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/nginx/regex"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// match has the tests of one match block; a response passes if it passes all.
type match struct {
	status  *statusTest
	headers []headerTest
	body    *textTest
	require []requirement
}

// requirement wants a variable that is neither empty nor 0.
type requirement struct {
	name  string // as written, with $
	value vars.Template[*web.Request]
}

// statusTest wants a status in one of the ranges, or in none.
type statusTest struct {
	not    bool
	ranges []statusRange
}

type statusRange struct{ least, most int }

// headerTest wants a header field.
type headerTest struct {
	name  string
	lacks bool      // `header ! NAME`
	value *textTest // nil: any
}

// textTest compares a text, or matches it with a regular expression.
type textTest struct {
	not     bool
	equal   string
	pattern *regex.Regexp // nil: equal counts
}

// readMatch reads a match block.
func readMatch(a *conf.Args) (*match, error) {
	m := &match{}
	for _, n := range a.Node.Block {
		var err error
		switch n.Name {
		case "status":
			err = m.readStatus(n)
		case "header":
			err = m.readHeader(n)
		case "body":
			err = m.readBody(n)
		case "require":
			err = m.readRequire(a, n)
		default:
			err = fmt.Errorf("unknown directive \"%s\" in \"match\"", n.Name)
		}
		if err != nil {
			return nil, conf.At(n, "%s", err)
		}
	}
	return m, nil
}

func wrongCount(n *conf.Node) error {
	return fmt.Errorf("invalid number of arguments in \"%s\" directive", n.Name)
}

func (m *match) readStatus(n *conf.Node) error {
	if m.status != nil {
		return fmt.Errorf("\"status\" directive is duplicate")
	}
	m.status = &statusTest{}
	words := n.Words
	if len(words) > 0 && words[0] == "!" {
		m.status.not, words = true, words[1:]
	}
	if len(words) == 0 {
		return wrongCount(n)
	}
	for _, word := range words {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		least, err := readCode(first)
		most, err2 := readCode(last)
		if errors.Join(err, err2) != nil || least > most {
			return fmt.Errorf("invalid status \"%s\": it must be 100 to 599, or a range in it", word)
		}
		m.status.ranges = append(m.status.ranges, statusRange{least, most})
	}
	return nil
}

// readCode reads a status: servers send 100 to 599.
func readCode(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && (len(text) != 3 || n < 100 || n > 599) {
		err = strconv.ErrRange
	}
	return int(n), err
}

func (m *match) readHeader(n *conf.Node) error {
	var t headerTest
	switch w := n.Words; {
	case len(w) == 1 && w[0] != "!":
		t.name = w[0]
	case len(w) == 2 && w[0] == "!":
		t.name, t.lacks = w[1], true
	case len(w) == 3:
		value, err := readTest(w[1], w[2])
		if err != nil {
			return err
		}
		t.name, t.value = w[0], value
	default:
		return wrongCount(n)
	}
	m.headers = append(m.headers, t)
	return nil
}

func (m *match) readBody(n *conf.Node) (err error) {
	switch {
	case m.body != nil:
		return fmt.Errorf("\"body\" directive is duplicate")
	case len(n.Words) != 2:
		return wrongCount(n)
	case !strings.Contains(n.Words[0], "~"):
		return fmt.Errorf("invalid operator \"%s\"", n.Words[0])
	}
	m.body, err = readTest(n.Words[0], n.Words[1])
	return err
}

// readTest reads an operator and a value.
func readTest(operator, value string) (t *textTest, err error) {
	t = &textTest{equal: value}
	operator, t.not = strings.CutPrefix(operator, "!")
	switch operator {
	case "=":
	case "~", "~*":
		t.pattern, err = regex.Compile(value, operator == "~*")
	default:
		return nil, fmt.Errorf("invalid operator \"%s\"", operator)
	}
	return t, err
}

func (m *match) readRequire(a *conf.Args, n *conf.Node) error {
	if len(n.Words) == 0 {
		return wrongCount(n)
	}
	for _, word := range n.Words {
		if !strings.HasPrefix(word, "$") {
			return fmt.Errorf("invalid variable name \"%s\"", word)
		}
		t, err := web.Side.Variables(side.PlanOf(a)).Compile(word, n)
		if err != nil {
			return err
		}
		m.require = append(m.require, requirement{word, t})
	}
	return nil
}

// judge tests a response, the body only if the rest passes.
func (m *match) judge(a *forward.Reply) (step string, err error) {
	step = "checking response"
	if m.status != nil {
		if step, err = stepStatus, m.status.check(a.Head.Status); err != nil {
			return step, err
		}
	}
	for i := range m.headers {
		if step, err = "checking header", m.headers[i].check(a.Head.Headers); err != nil {
			return step, err
		}
	}
	for i := range m.require {
		step = "checking variables"
		value := a.Request.Expand(&m.require[i].value)
		if text := string(value); text == "" || text == "0" {
			return step, fmt.Errorf("required variable %s is \"%s\"", m.require[i].name, text)
		}
	}
	if m.body != nil {
		body, err := a.Body()
		if err != nil {
			return "reading response body from upstream", err
		}
		return "checking body", m.body.checkBody(body)
	}
	return step, nil
}

// check returns why the headers fail. Of several fields of one name, one must have the value, or none the unwanted.
func (t *headerTest) check(all h1.Headers) error {
	found, matched := false, false
	for i := range all {
		if !ascii.EqualString(all[i].Name, t.name) {
			continue
		}
		found = true
		if t.value == nil {
			break
		}
		same, err := t.value.same(all[i].Value)
		if err != nil {
			return err
		}
		matched = matched || same
	}
	switch {
	case t.lacks && found:
		return fmt.Errorf("header \"%s\" is there", t.name)
	case !t.lacks && !found:
		return fmt.Errorf("header \"%s\" is missing", t.name)
	case t.value != nil && matched == t.value.not:
		return fmt.Errorf("header \"%s\" has another value", t.name)
	}
	return nil
}

// same reports whether a text is equal or matches.
func (t *textTest) same(text []byte) (bool, error) {
	if t.pattern == nil {
		return string(text) == t.equal, nil
	}
	return t.pattern.Match(text, nil)
}

func (t *textTest) checkBody(body []byte) error {
	matched, err := t.same(body)
	switch {
	case err != nil:
		return err
	case matched == t.not && t.not:
		return fmt.Errorf("the body matches \"%s\"", t.pattern.Text())
	case matched == t.not:
		return fmt.Errorf("the body does not match \"%s\"", t.pattern.Text())
	}
	return nil
}
