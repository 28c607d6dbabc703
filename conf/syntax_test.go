package conf_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"starling/conf"
)

// matched binds one directive "x" of a syntax and returns its named arguments, or the problem.
func matched(t *testing.T, d conf.Directive, line string) string {
	t.Helper()
	const names = "key name zone rate sync burst nodelay delay create type gzip path off on url valid text level escape " +
		"cookie learn domain error timeout"
	got := ""
	d.Name, d.In = "x", conf.Main
	d.Set = func(_ any, a *conf.Args) error {
		var named []string
		for _, name := range strings.Fields(names) {
			if a.Has(name) {
				named = append(named, fmt.Sprintf("%s=%s", name, strings.Join(a.Values(name), ",")))
			}
		}
		sort.Strings(named)
		got = strings.Join(named, " ")
		return nil
	}
	m := &conf.Module{Name: "m", New: conf.NewOf[int], Clone: conf.CloneOf[int], Directives: []conf.Directive{d}}
	binder, err := conf.NewBinder([]*conf.Module{m})
	if err != nil {
		return "declaration: " + err.Error()
	}
	tree, _ := conf.Parse(files(map[string]string{"n": line}), "/n")
	if err := binder.Bind(tree, nil).Err(); err != nil {
		return strings.TrimSuffix(err.Error(), " in /n:1")
	}
	return got
}

func TestSyntax(t *testing.T) {
	const (
		limit   = "zone=<name> [burst=<number>] [nodelay|delay=<number>]"
		zone    = "<key> zone=<name>:<size> rate=<rate> [sync]"
		sticky  = "cookie <name> [domain=<domain>]\nlearn create=<$variable>... zone=<name>:<size> [timeout=<time>]"
		keyval  = "zone=<name>:<size> [type=string|ip|prefix] [sync]"
		access  = "<path>|off [<text>] [gzip[=<level>]]"
		format  = "<name> [escape=default|json|none] <text>..."
		resolve = "<name>... [valid=<time>]"
		next    = "error | timeout | off ..."
	)
	for _, c := range []struct{ syntax, line, want string }{
		{"", "x;", ""},
		{"", "x a;", `invalid number of arguments in "x" directive`},
		{zone, "x $a zone=b:1m rate=1r/s;", "key=$a rate=1r/s zone=b:1m"},
		{zone, "x $a rate=1r/s sync zone=b:1m;", "key=$a rate=1r/s sync=sync zone=b:1m"},
		{zone, "x zone=k zone=b:1m rate=1r/s;", "key=zone=k rate=1r/s zone=b:1m"}, // the key is by position
		{zone, "x $a zone=b:1m rate=1r/s sync no;", `invalid number of arguments in "x" directive`},
		{zone, "x $a zone=b:1m rate=1r/s no;", `invalid parameter "no"`},
		{zone, "x $a zone=b:1m sync;", `"x" must have "rate" parameter`},
		{zone, "x $a rate=1r/s sync;", `"x" must have "zone" parameter`},
		{limit, "x zone=a nodelay;", "nodelay=nodelay zone=a"},
		{limit, "x zone=a delay=5 burst=;", "burst= delay=5 zone=a"},
		{limit, "x zone=a nodelay delay=5;", `duplicate parameter "delay=5"`},
		{limit, "x burst=5;", `"x" must have "zone" parameter`},
		{limit, "x zone;", `invalid parameter "zone"`},
		{keyval, "x zone=a:1m type=ip sync;", "sync=sync type=ip zone=a:1m"},
		{keyval, "x zone=a:1m type=xx;", `invalid parameter "type=xx"`},
		{access, "x off;", "off=off"},
		{access, "x logs/a main gzip;", "gzip= path=logs/a text=main"},
		{access, "x logs/a gzip=3;", "gzip=3 path=logs/a"},
		{format, "x main 'a' 'b';", "name=main text=a,b"},
		{format, "x main escape=json 'a';", "escape=json name=main text=a"},
		{format, "x main;", `invalid number of arguments in "x" directive`},
		{format, "x main escape=json;", `invalid number of arguments in "x" directive`},
		{resolve, "x 1.1.1.1 valid=5s 2.2.2.2;", "name=1.1.1.1,2.2.2.2 valid=5s"},
		{next, "x error TIMEOUT error;", "error=error,error timeout=timeout"},
		{next, "x error http_999;", `invalid value "http_999"`},
		{"[<name>...]", "x;", ""},
		{"[<name>...]", "x a b;", "name=a,b"},
		{"<path> [<url>]", "x a b;", "path=a url=b"},
		{"on | off", "x On;", "on=on"},
		{sticky, "x cookie name domain=d;", "cookie=cookie domain=d name=name"},
		{sticky, "x learn create=$a create=$b zone=z:1m;", "create=$a,$b learn=learn zone=z:1m"},
		{sticky, "x learn create=$a timeout=1h;", `"x" must have "zone" parameter`},
		{sticky, "x forget it;", `invalid parameter "forget"`},
		{sticky, "x;", `invalid number of arguments in "x" directive`},
		{"[sync [<name> [<level>]]]", "x;", ""},
		{"[sync [<name> [<level>]]]", "x sync a b;", "level=b name=a sync=sync"},
		{"[sync [<name>]]", "x a b c;", `invalid number of arguments in "x" directive`},
		{"[sync [<name>]", "x;", `declaration: module m, directive x: syntax "[sync [<name>]": a bracket is not closed`},
		{"<a b>", "x;", `declaration: module m, directive x: ` +
			`syntax "<a b>": brackets of "<a" do not match`},
	} {
		if got := matched(t, conf.Directive{Syntax: c.syntax}, c.line); got != c.want {
			t.Errorf("%s  %s\ngot  %s\nwant %s", c.syntax, c.line, got, c.want)
		}
	}
}

func TestSyntaxExtras(t *testing.T) {
	oneMore := conf.Directive{Syntax: "<name> [nodelay]", OneMore: true}
	for line, want := range map[string]string{
		"x a nodelay no no;": `invalid parameter "no"`,
		"x;":                 `invalid number of arguments in "x" directive`,
	} {
		if got := matched(t, oneMore, line); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
	known := conf.Directive{Syntax: "<name> [nodelay]", OneMore: true, Unsupported: []string{"service=", "quic"}}
	for line, want := range map[string]string{
		"x a service=http;": `parameter "service=" is not supported by starling`,
		"x a quic;":         `parameter "quic" is not supported by starling`,
		"x a quick;":        `invalid parameter "quick"`,
	} {
		if got := matched(t, known, line); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

// A word that another directive takes is rejected with the reason.
func TestRejectedWords(t *testing.T) {
	d := conf.Directive{
		Syntax: "<name> [sync]", OneMore: true, Rejected: map[string]string{"strict": "only limit_req_zone supports it"},
	}
	if got := matched(t, d, "x a sync strict;"); got != `invalid parameter "strict": only limit_req_zone supports it` {
		t.Error(got)
	}
	if got := matched(t, d, "x a sync stricter;"); got != `invalid parameter "stricter"` {
		t.Error(got)
	}
}

func TestDeclarationMistakes(t *testing.T) {
	set := func(any, *conf.Args) error { return nil }
	module := func(name string, d ...conf.Directive) *conf.Module {
		return &conf.Module{Name: name, New: conf.NewOf[int], Clone: conf.CloneOf[int], Directives: d}
	}
	for _, c := range []struct {
		modules []*conf.Module
		want    string
	}{
		{[]*conf.Module{
			module("a", conf.Directive{Name: "x", In: conf.HTTP | conf.Server, Set: set}),
			module("b", conf.Directive{Name: "x", In: conf.Server, Set: set}),
		}, "module b, directive x: declared twice for server"},
		{[]*conf.Module{module("a", conf.Directive{Name: "x", Set: set})}, "module a, directive x: no context declared"},
		{[]*conf.Module{module("a", conf.Directive{Name: "x", In: conf.HTTP})},
			"module a, directive x: no setter: every accepted directive must have an effect"},
		{[]*conf.Module{{Name: "a"}}, "module a: New and Clone must be set"},
		{[]*conf.Module{coreModule, coreModule}, "module core is listed twice"},
	} {
		if _, err := conf.NewBinder(c.modules); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	bad := module("a", conf.Directive{Name: "x", Syntax: "on | off", Default: "maybe", In: conf.HTTP, Set: set})
	binder, err := conf.NewBinder([]*conf.Module{bad})
	if err != nil {
		t.Fatal(err)
	}
	const want = `default of "x" in module a: invalid value "maybe" in "x" directive, it must be "on" or "off"`
	if err := binder.Bind(&conf.Tree{}, nil).Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
