package side

import (
	"fmt"
	"iter"
	"os"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
)

// Names are those of a server's server_name directives.
type Names[C Subject] struct{ list []serverName[C] }

// serverName is one name; a regular expression has its tilde.
type serverName[C Subject] struct {
	text  string // in lower case except for regular expressions
	regex *Regex[C]
	node  *conf.Node
}

// SetNames makes a setter of server_name.
func SetNames[S any, C Subject](s *Side[C], place func(*S) *Names[C]) conf.Setter {
	return func(settings any, a *conf.Args) error {
		names := place(settings.(*S))
		for _, word := range a.Words {
			name, err := s.serverName(a, word)
			if err != nil {
				return err
			}
			names.list = append(names.list, name)
		}
		return nil
	}
}

func (s *Side[C]) serverName(a *conf.Args, word string) (n serverName[C], err error) {
	n = serverName[C]{text: lower(word), node: a.Node}
	pattern, isRegex := strings.CutPrefix(word, "~")
	switch {
	case word == ".", strings.HasPrefix(word, "*") && (len(word) < 3 || word[1] != '.'):
		return n, fmt.Errorf("server name \"%s\" is invalid", word)
	case isRegex && pattern == "":
		return n, fmt.Errorf("empty regex in server name \"%s\"", word)
	case strings.Contains(word, "/"):
		a.Warn("server name \"%s\" has suspicious symbols", word)
	}
	if strings.EqualFold(word, "$hostname") {
		host, err := os.Hostname()
		if err != nil {
			return n, fmt.Errorf("gethostname() failed: %w", err)
		}
		n.text = lower(host)
	}
	if isRegex {
		n.text = word
		// nginx ignores case if the pattern has a capital: names arrive in lower case.
		caseless := strings.ContainsFunc(pattern, func(c rune) bool { return c >= 'A' && c <= 'Z' })
		n.regex, err = s.Regex(PlanOf(a), pattern, caseless)
	}
	return n, err
}

func lower(name string) string { return string(ascii.AppendLower(nil, []byte(name))) }

// First is $server_name: the first name, "" if there is none.
func (n *Names[C]) First() string {
	if len(n.list) == 0 {
		return ""
	}
	return strings.TrimPrefix(n.list[0].text, ".")
}

// All yields the names in order: a name or mask in lower case, or a regular expression with its tilde.
func (n *Names[C]) All() iter.Seq2[string, *Regex[C]] {
	return func(yield func(string, *Regex[C]) bool) {
		for i := range n.list {
			if !yield(n.list[i].text, n.list[i].regex) {
				return
			}
		}
	}
}

// orEmpty returns the names; a server without any has the empty one, which matches clients without a name.
func (n *Names[C]) orEmpty() []serverName[C] {
	if len(n.list) == 0 {
		return []serverName[C]{{}}
	}
	return n.list
}
