package ssi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"starling/logs"
	"starling/nginx/ascii"
	"starling/nginx/escape"
	"starling/web"
)

// given are the parameters of a command by name.
type given map[string][]byte

func (g given) has(name string) bool { _, ok := g[name]; return ok }

// kind describes a command.
type kind struct {
	parameters []string // a leading "!" marks one that must be there
	// within is where the command must stand; outside is anywhere.
	within condition
	// inBlocks: it is executed even where text is not sent.
	inBlocks bool
}

var kinds = map[string]*kind{
	"include":  {parameters: []string{"virtual", "file", "wait", "set", "stub"}},
	"echo":     {parameters: []string{"!var", "default", "encoding"}},
	"config":   {parameters: []string{"errmsg", "timefmt"}},
	"set":      {parameters: []string{"!var", "!value"}},
	"if":       {parameters: []string{"!expr"}},
	"elif":     {parameters: []string{"!expr"}, within: afterIf},
	"else":     {within: afterIf},
	"endif":    {within: afterElse},
	"block":    {parameters: []string{"!name"}},
	"endblock": {inBlocks: true},
}

// execute runs the command that the parser has read. Its error takes the place of the output.
func (x *executing) execute(next web.Next) error {
	c := &x.parser.command
	k := kinds[string(c.name)]
	switch {
	case k == nil && x.output:
		return fmt.Errorf("invalid SSI command: \"%s\"", c.name)
	case k == nil:
		return nil
	case !x.output && !k.inBlocks && x.inBlock:
		return x.state.page.extend(c.appendTo(nil))
	case !x.output && !k.inBlocks && k.within == outside:
		return nil
	case k.within != outside && (x.condition == outside || x.condition > k.within):
		return fmt.Errorf("invalid context of SSI command: \"%s\"", c.name)
	}
	g := given{}
	for _, p := range c.parameters {
		name := string(p.name)
		switch {
		case !slices.Contains(k.parameters, name) && !slices.Contains(k.parameters, "!"+name):
			return fmt.Errorf("invalid parameter name: \"%s\" in \"%s\" SSI command", name, c.name)
		case g.has(name):
			return fmt.Errorf("duplicate \"%s\" parameter in \"%s\" SSI command", name, c.name)
		}
		g[name] = p.value
	}
	for _, name := range k.parameters {
		if name[0] == '!' && !g.has(name[1:]) {
			return fmt.Errorf("mandatory \"%s\" parameter is absent in \"%s\" SSI command", name[1:], c.name)
		}
	}
	return x.run(string(c.name), next, g)
}

func (x *executing) run(name string, next web.Next, g given) error {
	switch name {
	case "include":
		return x.include(next, g)
	case "echo":
		return x.echo(next, g)
	case "config":
		return x.config(g)
	case "set":
		return x.set(next, g)
	case "if":
		return x.ifCommand(next, g)
	case "elif":
		return x.elif(next, g)
	case "else":
		x.output, x.condition = !x.chosen, afterElse
	case "endif":
		x.output, x.chosen, x.condition = true, false, outside
	case "block":
		return x.block(g)
	case "endblock":
		x.output, x.inBlock = true, false
	}
	return nil
}

// appendTo writes a command as it stands in a block.
func (c *command) appendTo(dst []byte) []byte {
	dst = append(append(dst, opening...), c.name...)
	for _, p := range c.parameters {
		dst = append(append(append(append(append(dst, ' '), p.name...), '=', '"'), p.value...), '"')
	}
	return append(dst, " -->"...)
}

// include is ngx_http_ssi_include. The parts of a page are made one after the other.
func (x *executing) include(next web.Next, g given) error {
	r := next.Request()
	target, err := g.target()
	if err != nil {
		return err
	}
	if target, err = evaluate(r, target); err != nil {
		return err
	}
	if len(target) > 0 && target[0] != '/' {
		folder := r.Path[:bytes.LastIndexByte(r.Path, '/')+1]
		target = append(bytes.Clone(folder), target...)
	}
	escaped, query, _ := bytes.Cut(target, []byte{'?'})
	path, ok := web.SafePath(nil, escaped)
	if !ok {
		return fmt.Errorf("unsafe URI \"%s\" was detected", target)
	}
	var stub []byte
	if g.has("stub") {
		if stub, ok = x.state.page.find(g["stub"]); !ok {
			return fmt.Errorf("\"stub\"=\"%s\" for \"include\" not found", g["stub"])
		}
	}
	sub := web.Subrequest{Path: path, Query: query, Part: !g.has("set"), Bare: stub != nil}
	if g.has("set") {
		sub.KeepBytes = maxPageBytes
	}
	part, err := r.Subrequest(sub)
	if err != nil {
		return fmt.Errorf("\"%s\" is not included: %w", target, err)
	}
	x.state.page.share(part)
	if err := x.pass(next); err != nil {
		return nil // the connection remembers its failure
	}
	done := part.Run()
	switch {
	case g.has("set"):
		return x.store(part, done, g["set"])
	case stub != nil && done.BodyBytesSent() == 0:
		x.expand(next, stub)
	}
	return nil
}

// target is the URI to include.
func (g given) target() ([]byte, error) {
	switch wait := g["wait"]; {
	case g.has("virtual") && g.has("file"):
		return nil, fmt.Errorf("inclusion may be either virtual=\"%s\" or file=\"%s\"", g["virtual"], g["file"])
	case !g.has("virtual") && !g.has("file"):
		return nil, errors.New("no parameter in \"include\" SSI command")
	case g.has("set") && g.has("stub"):
		return nil, errors.New("\"set\" and \"stub\" cannot be used together in \"include\" SSI command")
	case g.has("wait") && !g.has("virtual"):
		return nil, fmt.Errorf("\"wait\" cannot be used with file=\"%s\"", g["file"])
	case g.has("wait") && !ascii.EqualString(wait, "yes") && !ascii.EqualString(wait, "no"):
		return nil, fmt.Errorf("invalid value \"%s\" in the \"wait\" parameter", wait)
	case g.has("virtual"):
		return g["virtual"], nil
	}
	return g["file"], nil
}

// store puts the response of a part into a variable, if it is no error.
func (x *executing) store(part *web.Sub, done *web.Request, name []byte) error {
	if err := part.Failed(); err != nil {
		return fmt.Errorf("\"%s\" is not stored in \"%s\": %w", done.Path, name, err)
	}
	value := part.Body()
	if done.Out.Status >= 300 {
		value = nil
	}
	return x.state.page.set(string(bytes.ToLower(name)), value)
}

// expand sends the text of a block in place of an empty part. Its commands are executed. The connection remembers a
// failure.
func (x *executing) expand(next web.Next, text []byte) {
	inner := &executing{
		settings: x.settings, state: x.state, parser: parser{valueBytes: x.parser.valueBytes}, output: true,
		message: x.message,
	}
	if inner.Write(next, text, false) == nil {
		next.Write(inner.parser.end(), false)
	}
}

// encoding is how echo escapes.
type encoding int

const (
	entityEncoding encoding = iota
	urlEncoding
	noEncoding
)

// echo is ngx_http_ssi_echo.
func (x *executing) echo(next web.Next, g given) error {
	r := next.Request()
	value, found := variable(r, string(bytes.ToLower(g["var"])))
	if !found {
		value = []byte("(none)")
		if g.has("default") {
			value = g["default"]
		}
	}
	if len(value) == 0 {
		return nil
	}
	if g.has("encoding") {
		switch string(g["encoding"]) {
		case "none":
			x.encoding = noEncoding
		case "url":
			x.encoding = urlEncoding
		case "entity":
			x.encoding = entityEncoding
		default:
			r.Logf(logs.Error, "unknown encoding \"%s\" in the \"echo\" command", g["encoding"])
		}
	}
	switch x.encoding {
	case urlEncoding:
		x.out = escape.Append(x.out, value, escape.Link)
	case entityEncoding:
		x.out = escape.AppendHTML(x.out, value)
	default:
		x.out = append(x.out, value...)
	}
	return nil
}

// config is ngx_http_ssi_config.
func (x *executing) config(g given) error {
	if g.has("timefmt") {
		x.state.timeFormat = bytes.Clone(g["timefmt"])
	}
	if g.has("errmsg") {
		x.message = bytes.Clone(g["errmsg"])
	}
	return nil
}

// set is ngx_http_ssi_set.
func (x *executing) set(next web.Next, g given) error {
	value, err := evaluate(next.Request(), g["value"])
	if err != nil {
		return err
	}
	return x.state.page.set(string(bytes.ToLower(g["var"])), value)
}

func (x *executing) block(g given) error {
	if err := x.state.page.begin(string(g["name"])); err != nil {
		return err
	}
	x.output, x.inBlock = false, true
	return nil
}
