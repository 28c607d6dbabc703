package ssi

import (
	"bytes"
	"fmt"
	"slices"

	"starling/logs"
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
	value, found, err := variable(r, string(bytes.ToLower(g["var"])))
	if err != nil {
		return err
	}
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
		x.state.timeFormat = append([]byte{}, g["timefmt"]...) // an empty one is not the default
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
