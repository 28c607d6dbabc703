// Package geoip2 makes variables whose values come from databases in MaxMind's format, for both http and stream. Its
// words are those of ngx_http_geoip2_module.
package geoip2

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/nginx/trusted"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// family is the geoip2 of one side.
type family[C side.Subject] struct {
	side *side.Side[C]
	// client is the client's address, which a side with headers may find behind trusted proxies.
	client func(C) netip.Addr
}

// databases are those of one configuration, of both sides.
type databases struct{ all []*database }

// Directive is geoip2 of a side.
func Directive[C side.Subject](of *side.Side[C], client func(C) netip.Addr) conf.Directive {
	f := &family[C]{of, client}
	return conf.Directive{
		Name: "geoip2", Syntax: "<file>", In: of.Block, Opens: conf.Lines, Repeat: true,
		Doc: "Creates variables with values of a database in MaxMind's format. Each line contains a variable and the " +
			"path of its value in the record of the client's address: `$country country iso_code`; a number selects " +
			"an entry of an array. `default=<value>` before the path is for addresses without the value; " +
			"`source=<$variable>` looks another address up. `metadata build_epoch`, `metadata last_check` and " +
			"`metadata last_change` in place of a path are times of the database. `auto_reload <time>` checks that " +
			"often whether the file has changed; requests do not wait for it.",
		Set: func(_ any, a *conf.Args) error { return f.declare(a) },
	}
}

func (f *family[C]) declare(a *conf.Args) error {
	p := side.PlanOf(a)
	d := &database{side: f.side.Name, path: p.PrefixPath(a.Words[0]), files: p.FS, log: p.Log}
	known := plan.Part[databases](p)
	for _, other := range known.all {
		if other.side == d.side && other.path == d.path {
			return fmt.Errorf("a duplicate geoip2 database \"%s\"", a.Words[0])
		}
	}
	others := known.all
	if p.Old != nil {
		if before := plan.Find[databases](p.Old); before != nil {
			others = slices.Concat(others, before.all)
		}
	}
	if err := d.open(others, p.Clock.Now().WallMS/1000); err != nil {
		return err
	}
	known.all = append(known.all, d)
	for _, line := range a.Node.Block {
		if err := f.line(p, d, line); err != nil {
			return conf.At(line, "%s", err)
		}
	}
	return nil
}

func (f *family[C]) line(p *plan.Plan, d *database, line *conf.Node) error {
	if line.Name == "auto_reload" {
		if len(line.Words) != 1 {
			return fmt.Errorf("invalid number of arguments for auto_reload")
		}
		every, err := conf.Seconds(line.Words[0])
		if err != nil {
			return fmt.Errorf("invalid interval for auto_reload \"%s\"", line.Words[0])
		}
		d.everyS = int64(every.Seconds())
		return nil
	}
	name, isVariable := strings.CutPrefix(line.Name, "$")
	if !isVariable || name == "" {
		return fmt.Errorf("invalid setting \"%s\"", line.Name)
	}
	declare := f.side.Variables(p).Declare
	if len(line.Words) > 0 && line.Words[0] == "metadata" {
		value, err := metadata(line)
		if err != nil {
			return err
		}
		return declare(vars.Variable[C]{Name: name, Doc: "A time of a database.", Replaceable: true,
			Append: func(c C, _ string, dst []byte) ([]byte, bool) {
				return strconv.AppendInt(dst, value(d, c.Now().WallMS/1000), 10), true
			}})
	}
	v := &value[C]{family: f, database: d, slot: f.side.NewSlot(p)}
	if err := v.read(p, name, line); err != nil {
		return err
	}
	return declare(vars.Variable[C]{
		Name: name, Doc: "A value of a database.", Replaceable: true, Append: v.append,
	})
}

// metadata returns the function of a time of a database, in Unix seconds.
func metadata(line *conf.Node) (func(d *database, nowS int64) int64, error) {
	if len(line.Words) == 2 {
		switch line.Words[1] {
		case "build_epoch":
			return func(d *database, nowS int64) int64 {
				return int64(d.at(nowS).reader.Metadata.BuildEpoch)
			}, nil
		case "last_check":
			return func(d *database, nowS int64) int64 {
				d.at(nowS)
				return d.checkedAtS.Load()
			}, nil
		case "last_change":
			return func(d *database, nowS int64) int64 { return d.at(nowS).changedS }, nil
		}
	}
	return nil, fmt.Errorf("metadata of \"%s\" must be build_epoch, last_check or last_change", line.Name)
}

// value is one variable with a value of the record of an address.
type value[C side.Subject] struct {
	family   *family[C]
	database *database
	source   *vars.Template[C] // nil: the client's address
	fallback []byte            // nil: none
	path     []string
	slot     int
}

func (v *value[C]) read(p *plan.Plan, name string, line *conf.Node) error {
	words := line.Words
	for ; len(words) > 0 && strings.Contains(words[0], "="); words = words[1:] {
		option, text, _ := strings.Cut(words[0], "=")
		switch {
		case option == "default" && text != "":
			if v.fallback != nil {
				return fmt.Errorf("default has already been declared for \"$%s\"", name)
			}
			v.fallback = []byte(text)
		case option == "source" && text != "":
			if v.source != nil {
				return fmt.Errorf("source has already been declared for \"$%s\"", name)
			}
			if text[0] != '$' {
				return fmt.Errorf("invalid source variable name \"%s\"", text)
			}
			source, err := v.family.side.Variables(p).Compile(text, line)
			if err != nil {
				return err
			}
			v.source = &source
		default:
			return fmt.Errorf("invalid setting \"%s\" for \"$%s\"", words[0], name)
		}
	}
	if v.path = words; len(words) == 0 {
		return fmt.Errorf("\"$%s\" has no path of a value in the database, such as country iso_code", name)
	}
	return nil
}

// maxNesting is how many variables may depend on each other, as in nginx: more are a cycle.
const maxNesting = 100

// append appends the value, which stays the same for a subject even if the database is reloaded meanwhile.
func (v *value[C]) append(c C, _ string, dst []byte) ([]byte, bool) {
	state := c.SideState()
	if kept := state.Slot(v.slot); kept.Set {
		return append(dst, kept.Value...), kept.Value != nil
	}
	if state.Nesting >= maxNesting {
		c.Logf(logs.Error, "cycle while evaluating a variable of geoip2")
		return dst, false
	}
	state.Nesting++
	addr, dst := v.address(c, dst)
	state.Nesting--

	start := len(dst)
	now := v.database.at(c.Now().WallMS / 1000)
	dst, found := now.appendValue(dst, addr, v.path, v.database.log, v.database.path)
	kept := side.Slot{Set: true, Value: v.fallback}
	if found {
		kept.Value = c.Copy(dst[start:])
	} else {
		dst = append(dst, v.fallback...)
	}
	*state.Slot(v.slot) = kept
	return dst, kept.Value != nil
}

// address is what is looked up. It may use the memory after the end of dst.
func (v *value[C]) address(c C, dst []byte) (netip.Addr, []byte) {
	if v.source == nil {
		return v.family.client(c).Unmap(), dst
	}
	start := len(dst)
	dst = v.source.Append(dst, c)
	addr, _ := trusted.ParseAddr(dst[start:])
	return addr.Unmap(), dst[:start]
}
