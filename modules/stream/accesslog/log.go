package accesslog

import (
	"starling/conf"
	"starling/stream"
)

func build(b *stream.Block) (stream.Handler, error) {
	w, err := options.Open(conf.SettingsOf[Settings](b.Scope), b.Plan, b.Scope.Node)
	if w == nil {
		return nil, err
	}
	return func(s *stream.Session) stream.Result {
		w.Write(s)
		return stream.Declined
	}, nil
}
