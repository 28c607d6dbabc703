package stream

import (
	"time"

	"starling/logs"
	"starling/plan"
	"starling/side"
)

// Settings are what the kit itself obeys in one block. The core family has the directives that set them; the kit finds
// them by their type.
type Settings struct {
	Listens   side.Listens
	NoDelay   bool
	ErrorLogs []logs.Target
	Resolver  plan.ResolverSettings

	// StatusZone is where the API counts the sessions of the server; empty: nowhere.
	StatusZone string

	Names side.Names[*Session]
	// PrereadBytes bounds what is looked at before a server is chosen, PrereadTimeout how long that may take.
	PrereadBytes   int64
	PrereadTimeout time.Duration
	// UDPSessions bounds the sessions of a socket of datagrams.
	UDPSessions int
	// ProxiedTimeout is how long the header of the PROXY protocol may take.
	ProxiedTimeout time.Duration
}
