package web

import (
	"crypto/tls"

	"starling/conf"
	"starling/observe"
)

// Server is one virtual server.
type Server struct {
	Scope *conf.Scope
	Core  *CoreSettings
	// Name is the first of server_name, "" if there is none ($server_name).
	Name string
	// TLS is set by the module that knows certificates. Required where a listen says ssl.
	TLS *tls.Config
	// ReusedTLS, AfterHandshake: see TLS; runs once per TLS connection after its handshake and may refuse it with a status
	// that each of its requests is then answered with (495, 496), 0 to go on.
	AfterHandshake func(c *Conn) Result
	Log            observe.Logger
}

// Location is one compiled location, or a block that takes its place (if, limit_except).
type Location struct {
	Scope *conf.Scope
	Core  *CoreSettings
	Name  string // "/images/", "@fallback"; of an if the name of the location around it
	Log   observe.Logger
}
