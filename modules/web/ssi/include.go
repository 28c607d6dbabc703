package ssi

import (
	"bytes"
	"errors"
	"fmt"

	"starling/nginx/ascii"
	"starling/web"
)

// maxAtOnce is how many parts of one client's request are made at once; others are made in their turn. Each keeps what
// is made ahead of its turn.
const maxAtOnce = 16

// postponed is a part that is made once the piece of the page was read.
type postponed struct {
	part *web.Sub
	stub []byte // of a block to send if the part is empty, nil for none
	text []byte // of the page behind the part
}

// include is ngx_http_ssi_include.
func (x *executing) include(next web.Next, g given) error {
	r := next.Request()
	target, err := g.target()
	if err != nil {
		return err
	}
	empty := len(target) == 0 // as in nginx, the folder of this page; it is an error if variables make it empty
	if target, err = evaluate(r, target); err != nil {
		return err
	}
	if empty || len(target) > 0 && target[0] != '/' {
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
	sub := web.Subrequest{Path: path, Query: query, Part: !g.has("set"), Bare: stub != nil, WithBody: true}
	if g.has("set") {
		sub.KeepBytes = maxPageBytes
	}
	part, err := r.Subrequest(sub)
	if err != nil {
		return fmt.Errorf("\"%s\" is not included: %w", target, err)
	}
	x.state.page.share(part)
	if !g.has("set") && !ascii.EqualString(g["wait"], "yes") && x.state.page.mayPostpone() {
		x.postpone(next, part, stub)
		return nil
	}
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

// postpone has the part made in drain: with others, and after the commands that follow in this piece of the page, as in
// nginx.
func (x *executing) postpone(next web.Next, part *web.Sub, stub []byte) {
	if n := len(x.postponed); n > 0 {
		x.postponed[n-1].text = x.out
		x.out = nil
	} else if x.pass(next) != nil {
		x.state.page.atOnce.Add(-1)
		return // the connection remembers its failure
	}
	x.postponed = append(x.postponed, postponed{part: part, stub: stub})
}

// drain makes the parts that were postponed, and sends them and the text between them.
func (x *executing) drain(next web.Next) error {
	all := x.postponed
	x.postponed = nil
	for _, p := range all {
		p.part.Start()
	}
	var failed error
	for i := range all {
		p := &all[i]
		done := p.part.Join()
		x.state.page.atOnce.Add(-1)
		if failed != nil {
			continue // the others must end too
		}
		if p.stub != nil && done.BodyBytesSent() == 0 {
			x.expand(next, p.stub)
		}
		if len(p.text) > 0 {
			failed = next.Write(p.text, false)
		}
	}
	return failed
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
