package cycle_test

import (
	"slices"
	"strings"
	"testing"

	"starling/conf"
	"starling/conf/generate"
	"starling/cycle"
)

// variant is a directive in a block.
type variant struct {
	name string
	in   conf.Context
	text string
}

// good are values that directives accept, by their names in the syntaxes, or by directive and name.
var good = map[string]string{
	"number": "2", "size": "8k", "time": "10s", "file": "DIR/file", "path": "DIR/path", "uri": "/x", "url": "http://127.0.0.1:9",
	"address": "127.0.0.1:9", "$variable": "$v", "code": "503", "level": "warn", "rate": "1r/s", "condition": "($uri)", "name": "n",
	"method": "GET", "type": "text/css", "text": "text", "value": "1", "flag": "1", "zone": "z", "string": "s", "key": "$uri",
	"threads": "2", "max_queue": "10", "max": "10", "inactive": "10s", "valid": "10s", "min_uses": "2", "buffer": "8k", "flush": "10s",
	"weight": "2", "max_conns": "2", "max_fails": "2", "fail_timeout": "10s", "slow_start": "10s", "burst": "2", "delay": "2",
	"timeout": "10s", "header_timeout": "10s", "interval": "100ms", "level1": "1", "level2": "2", "level3": "2", "length": "16",
}

// odd are values that hardly any directive accepts.
var odd = []string{"x", "-1"}

// variants makes what is compared from the declarations.
func variants(t *testing.T) (list []variant) {
	t.Helper()
	binder, err := conf.NewBinder(cycle.All())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]conf.Context{}
	for _, k := range conf.KnownDirectives() {
		known[k.Name] |= k.In
	}
	for name, declared := range binder.Directives() {
		for _, d := range declared {
			for i, in := range contextsOf(d.In & known[name]) {
				texts := variantsOf(d)
				if i > 0 {
					texts = texts[:1]
				}
				for _, text := range texts {
					list = append(list, variant{name, in, text})
				}
			}
		}
	}
	return list
}

// inner are the contexts in which many variants can stand in one file; they come first.
var inner = []conf.Context{conf.Location, conf.Server, conf.Upstream, conf.StreamServer, conf.StreamUpstream}

func contextsOf(set conf.Context) (list []conf.Context) {
	for _, in := range inner {
		if set&in != 0 {
			list = append(list, in)
		}
	}
	for in := conf.Main; in < conf.Lines; in <<= 1 {
		if set&in != 0 && !slices.Contains(list, in) {
			list = append(list, in)
		}
	}
	return list
}

// String is the variant with its context.
func (one variant) String() string {
	in := one.in.String()
	if one.in == conf.StreamServer || one.in == conf.StreamUpstream {
		in = "stream " + in
	}
	return in + ": " + one.text
}

// variantsOf are the forms of a directive, the good ones first.
func variantsOf(d *conf.Directive) (texts []string) {
	syntaxes, err := conf.ParseSyntax(d.Syntax)
	if err != nil {
		panic(err)
	}
	add := func(words []string) {
		text := d.Name
		for _, word := range words {
			text += " " + generate.Quote(word)
			text = strings.ReplaceAll(text, `\$`, "$")
		}
		if d.IsBlock() {
			text += " { }"
		} else {
			text += ";"
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	for _, s := range syntaxes {
		least, most := wordsOf(d, s, false), wordsOf(d, s, true)
		add(least)
		add(most)
		if len(least) > 0 {
			add(least[1:])
			add(least[:len(least)-1])
		}
		add(append(slices.Clone(most), "extra"))
		add(nil)
		for at := range most {
			for _, value := range odd {
				changed := slices.Clone(most)
				if name, _, is := strings.Cut(changed[at], "="); is && name != "" {
					add(append(append(slices.Clone(most[:at]), name+"="+value), most[at+1:]...))
				}
				changed[at] = value
				add(changed)
			}
		}
		for i, term := range s.Terms {
			for _, form := range term.Forms {
				add(formsOf(d, s, i, form))
				if form.Kind == conf.WordForm {
					form.Name = strings.ToUpper(form.Name)
					add(formsOf(d, s, i, form))
				}
			}
		}
	}
	texts = append(texts, texts[0]+" "+texts[0])
	return texts
}

// wordsOf are the words of a syntax: those that are required, or all.
func wordsOf(d *conf.Directive, s conf.Syntax, optional bool) (words []string) {
	for _, term := range s.Terms {
		if !term.Optional || optional {
			words = append(words, wordOf(d, term.Forms[0]))
		}
	}
	return words
}

// formsOf are the required words, and one form of one term.
func formsOf(d *conf.Directive, s conf.Syntax, at int, form conf.Form) (words []string) {
	for i, term := range s.Terms {
		switch {
		case i == at:
			words = append(words, wordOf(d, form))
		case !term.Optional:
			words = append(words, wordOf(d, term.Forms[0]))
		}
	}
	return words
}

func wordOf(d *conf.Directive, f conf.Form) string {
	value := good[d.Name+" "+f.Name]
	if value == "" {
		value = good[f.Name]
	}
	if value == "" {
		value = "a"
	}
	if len(f.Values) > 0 {
		value = f.Values[0]
	}
	switch f.Kind {
	case conf.WordForm:
		return f.Name
	case conf.ValueForm:
		return value
	}
	return f.Name + "=" + value
}
