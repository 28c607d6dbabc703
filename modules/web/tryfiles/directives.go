// Package tryfiles is try_files: the first file that exists answers.
package tryfiles

import (
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/vars"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "try_files",
		Doc:   "Serves the first existing file of a list.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, _ conf.Context) { *settings.(*Settings) = Settings{} },
		Directives: []conf.Directive{{
			Name: "try_files", Syntax: "<file> <next>...", In: conf.Server | conf.Location,
			Doc: "Checks the files below `root` in order; a trailing slash checks for a directory. If none exists, " +
				"processing continues with the last argument: a URI, a named location, or a status (`=404`).",
			Set: conf.Raw(setTryFiles),
		}},
	},
	Handlers: []web.Hook{{Phase: web.PreContent, Build: build}},
}

// Settings of one block. They are not inherited.
type Settings struct {
	tries []try
	// status, if not 0, or last is the result when no file exists.
	status int
	last   vars.Template[*web.Request]
}

type try struct {
	name   vars.Template[*web.Request]
	folder bool
}

func setTryFiles(s *Settings, a *conf.Args) error {
	words := a.Words
	last := words[len(words)-1]
	for _, word := range words[:len(words)-1] {
		t := try{}
		if len(word) > 1 {
			word, t.folder = strings.CutSuffix(word, "/")
		}
		var err error
		if t.name, err = web.Side.Compile(a, word); err != nil {
			return err
		}
		s.tries = append(s.tries, t)
	}
	if code, isCode := strings.CutPrefix(last, "="); isCode {
		n, err := strconv.ParseUint(code, 10, 32)
		if err != nil || n > 999 {
			return fmt.Errorf("invalid code \"%s\"", last)
		}
		s.status = int(n)
		return nil
	}
	var err error
	s.last, err = web.Side.Compile(a, last)
	return err
}
