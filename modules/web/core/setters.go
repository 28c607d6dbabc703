package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/lib/symlink"
	"starling/side"
	"starling/vars"
	"starling/web"
)

func isOff(text string) (bool, error) {
	on, err := conf.Flag(text)
	return !on, err
}

// maxHeaderBufferBytes bounds how long a configuration may allow a line of a request to be.
const maxHeaderBufferBytes = 64 << 20

func headerBytes(text string) (int, error) {
	n, err := conf.Size(text)
	if err == nil && (n == 0 || n > maxHeaderBufferBytes) {
		return 0, conf.InvalidValue
	}
	return int(n), err
}

func setLargeHeaderBuffers(s *web.Settings, a *conf.Args) (err error) {
	if s.Limits.LargeBuffers, err = conf.Int(1, 1<<16)(a.Words[0]); err != nil {
		return conf.InvalidValue
	}
	s.Limits.LargeBufferBytes, err = headerBytes(a.Words[1])
	return err
}

// setKeepAlive leaves the second time as it is inherited if only the first is given, as in nginx.
func setKeepAlive(s *web.Settings, a *conf.Args) (err error) {
	if s.KeepAlive.Timeout, err = conf.Time(a.Words[0]); err == nil && len(a.Words) > 1 {
		s.KeepAlive.Header, err = conf.Seconds(a.Words[1])
	}
	return err
}

func parseBrowsers(a *conf.Args) (d web.DisabledBrowsers, err error) {
	for _, word := range a.Words {
		switch strings.ToLower(word) {
		case "none":
		case "msie6":
			d.MSIE6 = true
		case "safari":
			d.Safari = true
		default:
			return d, fmt.Errorf("invalid value \"%s\"", word)
		}
	}
	return d, nil
}

// setRate stores a number of bytes that may contain variables.
func setRate(place func(*web.Settings) *vars.Template[*web.Request]) conf.Setter {
	return conf.Raw(func(s *web.Settings, a *conf.Args) error {
		if !strings.Contains(a.Words[0], "$") {
			if _, err := conf.Size(a.Words[0]); err != nil {
				return err
			}
		}
		t, err := web.Side.Compile(a, a.Words[0])
		*place(s) = t
		return err
	})
}

// conditions is a setter that adds conditions to those of the same level.
func conditions(field func(*web.Settings) *[]vars.Template[*web.Request]) conf.Setter {
	return conf.Raw(func(s *web.Settings, a *conf.Args) error {
		return web.AddConditions(field(s), a)
	})
}

func setLimitExcept(s *web.Settings, a *conf.Args) error {
	s.AllowedMethods = nil
	for _, word := range a.Words {
		method := strings.ToUpper(word)
		if !slices.Contains(limitedMethods, method) {
			return fmt.Errorf("invalid method \"%s\"", word)
		}
		s.AllowedMethods = append(s.AllowedMethods, method)
		if method == "GET" {
			s.AllowedMethods = append(s.AllowedMethods, "HEAD")
		}
	}
	return nil
}

// limitedMethods are those that nginx knows by name.
var limitedMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS", "PROPFIND",
	"PROPPATCH", "LOCK", "UNLOCK", "PATCH"}

var symlinkRules = map[string]symlink.Rule{
	"off": symlink.Follow, "on": symlink.Reject, "if_not_owner": symlink.SameOwner,
}

func setSymlinks(s *web.Settings, a *conf.Args) (err error) {
	given := false
	for word, rule := range symlinkRules {
		if a.Has(word) {
			s.Symlinks, given = rule, true
		}
	}
	if !given {
		return fmt.Errorf("\"%s\" must have \"off\", \"on\" or \"if_not_owner\" parameter", a.Node.Name)
	}
	s.SymlinksFrom = vars.Template[*web.Request]{}
	if !a.Has("from") {
		return nil
	}
	if s.Symlinks == symlink.Follow {
		return errors.New("\"from=\" cannot be used with \"off\" parameter")
	}
	s.SymlinksFrom, err = web.Side.Compile(a, a.Value("from"))
	return err
}

func setRoot(s *web.Settings, a *conf.Args) error { return setDocuments(s, a, false) }

func setAlias(s *web.Settings, a *conf.Args) error {
	if a.Scope.In == conf.Location && len(a.Scope.Words) > 0 && strings.HasPrefix(a.Scope.Words[0], "@") {
		return fmt.Errorf("the \"alias\" directive cannot be used inside the named location")
	}
	return setDocuments(s, a, true)
}

func setDocuments(s *web.Settings, a *conf.Args, alias bool) error {
	if !a.FirstWrite(&s.Root) {
		other := "root"
		if s.Alias {
			other = "alias"
		}
		return conf.Verdict(fmt.Sprintf("is duplicate, \"%s\" directive was specified earlier", other))
	}
	path := a.Words[0]
	for _, name := range []string{"document_root", "realpath_root"} {
		if strings.Contains(path, "$"+name) || strings.Contains(path, "${"+name+"}") {
			return fmt.Errorf("the $%s variable cannot be used in the \"%s\" directive", name, a.Node.Name)
		}
	}
	if !strings.HasPrefix(path, "$") {
		slash := strings.HasSuffix(path, "/") && alias
		path = side.PlanOf(a).PrefixPath(path)
		if slash && !strings.HasSuffix(path, "/") {
			path += "/"
		}
	}
	if !alias {
		path = strings.TrimSuffix(path, "/")
	}
	t, err := web.Side.Compile(a, path)
	s.Root, s.Alias, s.AliasPart, s.AliasWhole = t, alias, nil, false
	if !alias {
		return err
	}
	if name, bad := web.ReadLocationName(a.Scope.Words); bad == nil {
		if s.AliasWhole = name.IsRegex(); !s.AliasWhole {
			s.AliasPart = []byte(name.Text)
		}
	}
	return err
}

// setServerTokens accepts one of nginx's words or, as NGINX Plus, any text.
func setServerTokens(s *web.Settings, a *conf.Args) (err error) {
	words := map[string]web.Tokens{"on": web.TokensVersion, "off": web.TokensOff, "build": web.TokensBuild}
	if tokens, known := words[a.Words[0]]; known {
		s.Tokens = tokens
		return nil
	}
	s.Tokens = web.TokensText
	s.ServerText, err = web.Side.Compile(a, a.Words[0])
	return err
}

// setTypes adds to the types of other blocks of the same level; nothing is inherited from an outer level then.
func setTypes(s *web.Settings, a *conf.Args) error {
	types := s.Types
	if a.FirstWrite(&s.Types) {
		types = map[string]string{}
	}
	for _, line := range a.Node.Block {
		for _, extension := range line.Words {
			extension = strings.ToLower(extension)
			if old, twice := types[extension]; twice {
				a.Warn(
					"duplicate extension \"%s\", content type: \"%s\", previous content type: \"%s\"",
					extension,
					line.Name,
					old,
				)
			}
			types[extension] = line.Name
		}
	}
	s.Types = types
	return nil
}

// defaultTypes are nginx's defaults without a types block.
var defaultTypes = map[string]string{"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}

func setErrorPage(s *web.Settings, a *conf.Args) error {
	if len(a.Words) < 2 {
		return fmt.Errorf("invalid number of arguments in \"error_page\" directive")
	}
	if a.FirstWrite(&s.ErrorPages) {
		s.ErrorPages = nil
	}
	codes, answer := a.Words[:len(a.Words)-1], -1
	if last := codes[len(codes)-1]; strings.HasPrefix(last, "=") {
		if len(codes) == 1 {
			return fmt.Errorf("invalid value \"%s\"", last)
		}
		answer = 0
		if len(last) > 1 {
			n, err := conf.Number(last[1:])
			if err != nil {
				return fmt.Errorf("invalid value \"%s\"", last)
			}
			answer = n
		}
		codes = codes[:len(codes)-1]
	}
	uri, err := web.Side.Compile(a, a.Words[len(a.Words)-1])
	if err != nil {
		return err
	}
	for _, code := range codes {
		status, err := conf.Number(code)
		if err != nil || status == 499 {
			return fmt.Errorf("invalid value \"%s\"", code)
		}
		if status < 300 || status > 599 {
			return fmt.Errorf("value \"%s\" must be between 300 and 599", code)
		}
		s.ErrorPages = append(slices.Clip(s.ErrorPages), web.ErrorPage{Status: status, Answer: answer, URI: uri})
	}
	return nil
}
