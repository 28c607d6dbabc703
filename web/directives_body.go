package web

import (
	"starling/conf"
	"starling/side"
)

var bodies = []conf.Directive{
	{
		Name: "client_max_body_size", Syntax: "<size>", Default: "1m", In: locations, Doc: "Sets the maximum size of a request body; 0 disables the limit.",
		Set: conf.Field(func(s *CoreSettings) *int64 { return &s.MaxBodyBytes }, conf.Offset),
	},
	{
		Name: "client_body_buffer_size", Syntax: "<size>", Default: "16k", In: locations,
		Doc: "Sets the buffer size of request bodies; larger bodies are written to a temporary file.",
		Set: conf.Field(func(s *CoreSettings) *int64 { return &s.BodyBufferBytes }, conf.Size),
	},
	{
		Name: "client_body_temp_path", Syntax: "<path> [<level1>] [<level2>] [<level3>]", Default: defaultBodyDir, In: locations,
		Doc: "Sets the directory for temporary files of request bodies, and the number of digits in each level of subdirectories. " +
			"It is created at start if its parent exists.",
		Set: conf.Whole(func(s *CoreSettings) *bodyPath { return &s.BodyPath }, parseBodyPath),
	},
	{
		Name: "client_body_in_file_only", Syntax: "on | clean | off", Default: "off", In: locations,
		Doc: "Writes each buffered request body to a file ($request_body_file). With `on`, the file remains after the request: " +
			"its consumer must remove it.",
		Set: conf.Field(func(s *CoreSettings) *BodyInFile { return &s.BodyInFile },
			conf.OneOf(map[string]BodyInFile{"on": BodyFileStays, "clean": BodyFileCleaned, "off": BodyFileIfLarge})),
	},
}

const defaultBodyDir = "client_body_temp"

// BodyInFile is client_body_in_file_only.
type BodyInFile int

const (
	BodyFileIfLarge BodyInFile = iota
	BodyFileStays
	BodyFileCleaned
)

// maxLevelDigits is how many digits of a file's ten may name directories, as in nginx.
const maxLevelDigits = 10

func parseBodyPath(a *conf.Args) (p bodyPath, err error) {
	p.dir, p.node = side.PlanOf(a).PrefixPath(a.Words[0]), a.Node
	digits := 0
	for _, word := range a.Words[1:] {
		n, err := conf.Int(1, 3)(word)
		if digits += n; err != nil || digits > maxLevelDigits {
			return p, conf.InvalidValue
		}
		p.levels = append(p.levels, n)
	}
	return p, nil
}
