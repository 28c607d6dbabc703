package plan

// Paths are where files go that no directive places. Relative ones start at the prefix.
type Paths struct{ PID, ErrorLog, AccessLog, Bodies string }

// SystemErrorLog is where errors go that no configuration places, in a system.
const SystemErrorLog = "/var/log/starling/error.log"

// SystemPaths are those of an installation in the system, where the command line gives no prefix. The packages make
// the directories.
func SystemPaths() Paths {
	return Paths{
		PID:       "/run/starling/starling.pid",
		ErrorLog:  SystemErrorLog,
		AccessLog: "/var/log/starling/access.log",
		Bodies:    "/var/cache/starling/client_body_temp",
	}
}

// PrefixPaths are those below a prefix that the command line gives (-p), as nginx lays them out.
func PrefixPaths() Paths {
	return Paths{
		PID:       "logs/starling.pid",
		ErrorLog:  "logs/error.log",
		AccessLog: "logs/access.log",
		Bodies:    "client_body_temp",
	}
}
