package core

import (
	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
)

var bodies = []conf.Directive{
	{
		Name: "client_max_body_size", Syntax: "<size>", Default: "1m", In: locations,
		Doc: "Sets the maximum size of a request body; 0 disables the limit.",
		Set: conf.Field(func(s *web.Settings) *int64 { return &s.MaxBodyBytes }, conf.Offset),
	},
	{
		Name: "client_body_buffer_size", Syntax: "<size>", Default: "16k", In: locations,
		Doc: "Sets the buffer size of request bodies; larger bodies are written to a temporary file.",
		Set: conf.Field(func(s *web.Settings) *int64 { return &s.BodyBufferBytes }, conf.Size),
	},
	{
		Name: "client_body_early_read", Syntax: "<condition>...", In: servers, Repeat: true,
		Doc: "Reads the body of a request before anything else is done with it if at least one of the values, which " +
			"can contain variables, is neither empty nor `0`: $request_body is then available everywhere.",
		Set: conditions(func(s *web.Settings) *[]vars.Template[*web.Request] { return &s.EarlyBody }),
	},
	{
		Name: "client_body_temp_path", Syntax: "<path> [<level1>] [<level2>] [<level3>]",
		Default: plan.SystemPaths().Bodies, In: locations,
		Doc: "Sets the directory for temporary files of request bodies, and the number of digits in each level of " +
			"subdirectories. It is created at start if its parent exists. The default is `" +
			plan.PrefixPaths().Bodies + "` below a prefix given with `-p`.",
		Set: conf.Whole(func(s *web.Settings) *web.TempPath { return &s.BodyPath }, parseBodyPath),
	},
	{
		Name: "client_body_in_file_only", Syntax: "on | clean | off", Default: "off", In: locations,
		Doc: "Writes each buffered request body to a file ($request_body_file). With `on`, the file remains after " +
			"the request: its consumer must remove it.",
		Set: conf.Field(func(s *web.Settings) *web.BodyInFile { return &s.BodyInFile },
			conf.OneOf(map[string]web.BodyInFile{
				"on": web.BodyFileStays, "clean": web.BodyFileCleaned, "off": web.BodyFileIfLarge,
			})),
	},
}

func parseBodyPath(a *conf.Args) (web.TempPath, error) {
	return web.ParseTempPath(a, side.PlanOf(a).Paths.Bodies)
}
