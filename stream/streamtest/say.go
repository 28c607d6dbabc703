package streamtest

import (
	"io"

	"starling/conf"
	"starling/stream"
	"starling/vars"
)

// saying are the settings of Say.
type saying struct {
	text                vars.Template[*stream.Session]
	given               bool
	hold, detach, panic bool
}

// Say is a family for tests of other families: `say <text>` sends a text with its variables expanded. With hold it then
// waits until the client closes, with detach it detaches the session before, and with panic it panics instead.
func Say() *stream.Module {
	return &stream.Module{
		Module: conf.Module{
			Name:  "say",
			New:   conf.NewOf[saying],
			Clone: conf.CloneOf[saying],
			Directives: []conf.Directive{{
				Name: "say", Syntax: "<text> [hold] [detach] [panic]", In: conf.StreamServer,
				Set: conf.Raw(func(s *saying, a *conf.Args) (err error) {
					s.given, s.hold, s.detach, s.panic = true, a.Has("hold"), a.Has("detach"), a.Has("panic")
					s.text, err = stream.Side.Compile(a, a.Words[0])
					return err
				}),
			}},
		},
		Handlers: []stream.Hook{{Phase: stream.Content, Build: func(b *stream.Block) (stream.Handler, error) {
			s := conf.SettingsOf[saying](b.Scope)
			if !s.given {
				return nil, nil
			}
			return s.say, nil
		}}},
	}
}

func (s *saying) say(session *stream.Session) stream.Result {
	if s.panic {
		panic("a mistake")
	}
	if s.detach {
		session.Detach()
	}
	if _, err := session.Conn.Write(s.text.Append(nil, session)); err != nil {
		return stream.StatusInternalError
	}
	if s.hold {
		io.Copy(io.Discard, session.Conn) // until the client closes, in whatever way
	}
	return stream.Done
}
