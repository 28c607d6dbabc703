package plan

// Paths are the paths of files that no directive sets. Relative ones start at the prefix.
type Paths struct{ PID, ErrorLog, AccessLog, Bodies, Responses string }

// SystemErrorLog is the default error log of a system installation.
const SystemErrorLog = "/var/log/starling/error.log"

// SystemPaths are the paths of a system installation, if the command line has no prefix. The packages create the
// directories.
func SystemPaths() Paths {
	return Paths{
		PID:       "/run/starling/starling.pid",
		ErrorLog:  SystemErrorLog,
		AccessLog: "/var/log/starling/access.log",
		Bodies:    "/var/cache/starling/client_body_temp",
		Responses: "/var/cache/starling/proxy_temp",
	}
}

// PrefixPaths are the paths below a prefix from the command line (-p), in nginx's layout.
func PrefixPaths() Paths {
	return Paths{
		PID:       "logs/starling.pid",
		ErrorLog:  "logs/error.log",
		AccessLog: "logs/access.log",
		Bodies:    "client_body_temp",
		Responses: "proxy_temp",
	}
}
