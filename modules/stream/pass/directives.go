// Package pass is pass: it hands a connection to another address that this process listens on, of stream or of http.
package pass

import (
	"errors"
	"fmt"

	"starling/conf"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/stream"
	"starling/upstream/groups"
	"starling/vars"
)

// Settings of one server.
type Settings struct {
	given     bool
	to        sockaddr.Addr
	bySession *vars.Template[*stream.Session]
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "pass",
		Doc:   "Passes connections to other servers of this process.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "pass", Syntax: "<address>", In: conf.StreamServer,
			Doc: "Passes accepted connections to the http or stream server that listens on the address, which can " +
				"contain variables. After `listen ... ssl`, the other server gets the decrypted data.",
			Set: conf.Raw(setPass),
		}},
	},
	Handlers: []stream.Hook{{Phase: stream.Content, Build: build}},
}

func setPass(s *Settings, a *conf.Args) error {
	s.given = true
	t, err := stream.Side.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	if _, literal := t.Literal(); !literal {
		s.bySession = &t
		return nil
	}
	addresses, err := sockaddr.Parse(a.Words[0], 0)
	if err != nil {
		return fmt.Errorf("%w of the \"pass\" directive", err)
	}
	s.to = addresses[0]
	return nil
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.given {
		return nil, nil
	}
	return func(session *stream.Session) stream.Result {
		to, err := s.address(session)
		if err == nil {
			err = session.Pass(to)
		}
		switch {
		case errors.Is(err, stream.ErrNobodyListens):
			session.Logf(logs.Error, "port not found for \"%s\" while passing connection to port", to)
			return stream.Done
		case err != nil:
			session.Logf(logs.Error, "%v while passing connection to port", err)
			return stream.StatusInternalError
		}
		return stream.Done
	}, nil
}

// address is the one to pass to.
func (s *Settings) address(session *stream.Session) (sockaddr.Addr, error) {
	if s.bySession == nil {
		return s.to, nil
	}
	text := string(s.bySession.Append(nil, session))
	failed := func(what string) (sockaddr.Addr, error) {
		return sockaddr.Addr{}, errors.New(what + " in pass \"" + text + "\"")
	}
	t, err := groups.ParseTarget(text, 0, false)
	var wrong *groups.TargetError
	switch {
	case errors.As(err, &wrong):
		return failed(wrong.What)
	case err != nil:
		return failed(err.Error())
	case t.Unix:
		return sockaddr.Addr{Path: t.Host}, nil
	}
	literal, ok := t.Literal()
	switch {
	case !ok:
		return failed("no addresses")
	case t.NoPort:
		return failed("no port")
	}
	return sockaddr.Addr{AddrPort: literal.IP}, nil
}
