// Package returns is return: a server that sends one text and closes. The name avoids Go's keyword.
package returns

import (
	"starling/conf"
	"starling/logs"
	"starling/stream"
	"starling/vars"
)

// Settings of one server.
type Settings struct {
	Text  vars.Template[*stream.Session]
	Given bool
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "return",
		Doc:   "Sends a text to every client that connects.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "return", Syntax: "<value>", In: conf.StreamServer,
			Doc: "Sends a text, which can contain variables, and closes the connection.",
			Set: conf.Raw(func(s *Settings, a *conf.Args) (err error) {
				s.Given = true
				s.Text, err = stream.Side.Compile(a, a.Words[0])
				return err
			}),
		}},
	},
	Handlers: []stream.Hook{{Phase: stream.Content, Build: build}},
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.Given {
		return nil, nil
	}
	return func(session *stream.Session) stream.Result {
		if _, err := session.Conn.Write(s.Text.Append(nil, session)); err != nil {
			session.Logf(logs.Info, "send() failed (%v)", err)
		}
		return stream.Done
	}, nil
}
