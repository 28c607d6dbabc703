package healthcheck

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/regex"
)

// match is one match block.
type match struct {
	send    []byte // nil: nothing
	expects bool
	text    []byte        // what the data must contain
	pattern *regex.Regexp // or what they must match
}

// readMatch reads the lines of a match block.
func readMatch(lines []*conf.Node) (*match, error) {
	m := &match{}
	for _, n := range lines {
		var err error
		switch n.Name {
		case "send":
			err = m.readSend(n)
		case "expect":
			err = m.readExpect(n)
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

func (m *match) readSend(n *conf.Node) (err error) {
	switch {
	case m.send != nil:
		return fmt.Errorf("\"send\" directive is duplicate")
	case len(n.Words) != 1:
		return wrongCount(n)
	}
	m.send, err = unescape(n.Words[0])
	return err
}

func (m *match) readExpect(n *conf.Node) (err error) {
	if m.expects {
		return fmt.Errorf("\"expect\" directive is duplicate")
	}
	m.expects = true
	switch w := n.Words; {
	case len(w) == 1:
		m.text, err = unescape(w[0])
	case len(w) == 2 && (w[0] == "~" || w[0] == "~*"):
		m.pattern, err = regex.CompileBytes(w[1], w[0] == "~*") // it has \xHH itself
	case len(w) == 2:
		return fmt.Errorf("invalid operator \"%s\"", w[0])
	default:
		return wrongCount(n)
	}
	return err
}

// unescape replaces each \xHH by the byte. Other backslashes stay.
func unescape(text string) ([]byte, error) {
	out := []byte{}
	for {
		plain, rest, found := strings.Cut(text, `\x`)
		out = append(out, plain...)
		if !found {
			return out, nil
		}
		var b [1]byte
		if len(rest) < 2 {
			return nil, fmt.Errorf("invalid hexadecimal literal \"\\x%s\"", rest)
		}
		if _, err := hex.Decode(b[:], []byte(rest[:2])); err != nil {
			return nil, fmt.Errorf("invalid hexadecimal literal \"\\x%s\"", rest[:2])
		}
		out, text = append(out, b[0]), rest[2:]
	}
}

// accepts reports whether data are what the server must send.
func (m *match) accepts(data []byte) (bool, error) {
	if m.pattern == nil {
		return bytes.Contains(data, m.text), nil
	}
	return m.pattern.Match(data, nil)
}
