package stream

import (
	"time"

	"starling/logs"
	"starling/plan"
	"starling/side"
)

// Settings are the settings of the kit itself in one block. The core family has the directives that set them; the kit
// finds them by their type.
type Settings struct {
	Listens   side.Listens
	NoDelay   bool
	ErrorLogs []logs.Target
	Resolver  plan.ResolverSettings

	// StatusZone is the zone in which the API counts the sessions of the server; empty for none.
	StatusZone string

	Names side.Names[*Session]
	// PrereadBytes limits the bytes peeked before a server is selected, PrereadTimeout the time for it.
	PrereadBytes   int64
	PrereadTimeout time.Duration
	// UDPSessions limits the sessions of a UDP socket.
	UDPSessions int
	// ProxiedTimeout limits the time for the PROXY protocol header.
	ProxiedTimeout time.Duration
}
