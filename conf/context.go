package conf

import "strings"

// Context is a set of kinds of blocks: the allowed contexts of a directive, or the context of its block.
type Context uint32

const (
	Main Context = 1 << iota
	Events
	HTTP
	Server     // server in http
	ServerIf   // if in server
	Location   //
	LocationIf // if in location
	LimitExcept
	Upstream // upstream in http
	Stream
	StreamServer
	StreamUpstream
	// Lines is a block of free-form lines (types, map, geo, split_clients): its nodes are not directives; the setter of
	// the block gets them in Args.Node.Block.
	Lines
	contextEnd
)

// contextNames are in the order of the bits, spelled as in nginx's documentation.
var contextNames = []string{"main", "events", "http", "server", "if in server", "location", "if in location",
	"limit_except", "upstream", "stream", "server", "upstream", "lines", "other"}

// String lists the contexts as nginx's documentation does: "http, server, location".
func (c Context) String() string {
	var names []string
	seen := map[string]bool{}
	for i, name := range contextNames {
		bit := Context(1) << i
		if c&(ServerIf|LocationIf) == ServerIf|LocationIf {
			if bit == ServerIf {
				continue
			}
			if bit == LocationIf {
				name = "if"
			}
		}
		if c&bit != 0 && !seen[name] {
			names = append(names, name)
			seen[name] = true
		}
	}
	return strings.Join(names, ", ")
}
