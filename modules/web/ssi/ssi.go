package ssi

import (
	"starling/conf"
	"starling/logs"
	"starling/side"
	"starling/web"
	"starling/web/h1"
)

func build(b *web.Block) (web.Filter, error) {
	side.SlotOf[state](&web.Side, b.Plan) // $date_local reads it even if no page is processed
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.on {
		return nil, nil
	}
	return s.filter, nil
}

// filter is ngx_http_ssi_header_filter.
func (s *Settings) filter(r *web.Request) web.Body {
	out := &r.Out
	if out.ContentLength == 0 || !s.types.Has(out.ContentType) {
		return nil
	}
	out.ContentLength, out.Ranges = -1, web.NoRanges
	r.RemoveHeader(h1.HeaderAcceptRanges)
	r.ChangeVersion(s.lastModified)
	return &executing{
		settings: s, state: stateOf(r), parser: parser{valueBytes: int(s.valueBytes)}, output: true,
		message: []byte("[an error occurred while processing the directive]"),
	}
}

// passBytes is how much output is collected before it is passed on.
const passBytes = 32 << 10

// condition is where a page stands between if and endif.
type condition int

const (
	outside condition = iota
	afterIf
	afterElse
)

// executing is the body of one response.
type executing struct {
	settings *Settings
	state    *state
	parser   parser
	// postponed are parts, in order; out is behind them.
	postponed []postponed
	out       []byte // not yet passed on

	output    bool // text is sent
	inBlock   bool // text belongs to a block
	condition condition
	chosen    bool // a branch of the if was sent
	encoding  encoding
	message   []byte // in place of commands that fail
}

// Write implements web.Body.
func (x *executing) Write(next web.Next, p []byte, last bool) error {
	for len(p) > 0 {
		found, text, rest := x.parser.next(p)
		p = rest
		var err error
		switch found {
		case foundText:
			err = x.text(text)
		case foundCommand:
			err = x.execute(next)
		case foundError:
			err = x.parser.fault
		}
		if err != nil {
			next.Request().Logf(logs.Error, "%v", err)
			if !x.settings.silent {
				x.out = append(x.out, x.message...)
			}
		}
		if len(x.out) >= passBytes { // a short piece of a page can echo a long variable many times
			if err := x.pass(next); err != nil {
				return err
			}
		}
	}
	if last {
		if err := x.text(x.parser.end()); err != nil {
			next.Request().Logf(logs.Error, "%v", err)
		}
		if err := x.drain(next); err != nil {
			return err
		}
		return next.Write(x.out, true)
	}
	return x.pass(next)
}

// pass passes on what is ready.
func (x *executing) pass(next web.Next) error {
	if err := x.drain(next); err != nil {
		return err
	}
	if len(x.out) == 0 {
		return nil
	}
	err := next.Write(x.out, false)
	x.out = x.out[:0]
	return err
}

// Flush implements web.Body. The beginning of a command stays.
func (x *executing) Flush(next web.Next) error { return next.Flush() }

// text is outside of commands.
func (x *executing) text(p []byte) error {
	switch {
	case len(p) == 0:
	case x.output:
		x.out = append(x.out, p...)
	case x.inBlock:
		return x.state.page.extend(p)
	}
	return nil
}
