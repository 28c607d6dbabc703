// Package sslpreread is ssl_preread: it reads the ClientHello of a TLS client before its handshake, and leaves the
// handshake to another server.
package sslpreread

import (
	"starling/conf"
	"starling/plan"
	"starling/stream"
	"starling/vars"
)

const places = conf.Stream | conf.StreamServer

// Settings of one block.
type Settings struct{ On bool }

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "ssl_preread",
		Doc:   "Reads the server name and protocols from the ClientHello without decrypting the connection.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "ssl_preread", Syntax: "on | off", Default: "off", In: places,
			Doc: "Reads the ClientHello for the variables below, and selects the server by its server name.",
			Set: conf.Field(func(s *Settings) *bool { return &s.On }, conf.Flag),
		}},
	},
	Variables: []vars.Variable[*stream.Session]{
		variable("ssl_preread_protocol", "The highest version of TLS that the client offers.", protocol),
		variable("ssl_preread_server_name", "The server name requested by the client (SNI).", serverName),
		variable("ssl_preread_alpn_protocols", "The ALPN protocols offered by the client, joined by commas.", alpn),
	},
	Handlers: []stream.Hook{{Phase: stream.Preread, Build: build}},
	Link: func(p *plan.Plan) error {
		plan.Part[part](p).slots = [slotCount]int{
			stream.Side.NewSlot(p),
			stream.Side.NewSlot(p),
			stream.Side.NewSlot(p),
		}
		return nil
	},
}

// The values that a session keeps.
const (
	protocol = iota
	serverName
	alpn
	slotCount
)

// part is where sessions keep them.
type part struct{ slots [slotCount]int }

func variable(name, doc string, which int) vars.Variable[*stream.Session] {
	return vars.Variable[*stream.Session]{
		Name: name,
		Doc:  doc,
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			value := s.Slot(plan.Part[part](s.Plan()).slots[which])
			return append(dst, value.Value...), value.Set
		},
	}
}

func build(b *stream.Block) (stream.Handler, error) {
	if !conf.SettingsOf[Settings](b.Scope).On {
		return nil, nil
	}
	slots := &plan.Part[part](b.Plan).slots
	return func(s *stream.Session) stream.Result {
		if s.IsUDP() {
			return stream.Declined
		}
		h, verdict := read(s.Preread())
		switch verdict {
		case more:
			return stream.Again
		case foreign:
			return stream.Declined
		}
		s.SetSlot(slots[protocol], []byte(versionNames[h.version]))
		s.SetSlot(slots[serverName], append([]byte{}, h.serverName...))
		s.SetSlot(slots[alpn], append([]byte{}, h.alpn...))
		if len(h.serverName) > 0 {
			s.Choose(string(h.serverName))
		}
		return stream.Granted
	}, nil
}
