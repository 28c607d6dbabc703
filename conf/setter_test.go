package conf_test

import (
	"fmt"
	"testing"

	"starling/conf"
)

func TestParsers(t *testing.T) {
	show := func(v any, err error) string { return fmt.Sprint(v, " ", err) }
	size := func(s string) string { v, err := conf.Size(s); return show(v, err) }
	offset := func(s string) string { v, err := conf.Offset(s); return show(v, err) }
	duration := func(s string) string { v, err := conf.Time(s); return show(v, err) }
	seconds := func(s string) string { v, err := conf.Seconds(s); return show(v, err) }
	flag := func(s string) string { v, err := conf.Flag(s); return show(v, err) }
	code := func(s string) string { v, err := conf.Bounds(400, 599)(s); return show(v, err) }
	bounded := func(s string) string { v, err := conf.AtLeast(conf.Size, 4096)(s); return show(v, err) }
	level := func(s string) string {
		v, err := conf.OneOf(map[string]int{"info": 6, "warn": 4})(s)
		return show(v, err)
	}
	for _, c := range []struct {
		parse      func(string) string
		text, want string
	}{
		{size, "4k", "4096 <nil>"},
		{size, "4g", "0 invalid value"},
		{offset, "4g", "4294967296 <nil>"},
		{duration, "1s500ms", "1.5s <nil>"},
		{duration, "1M", "0s invalid value"},
		{duration, "20", "20s <nil>"},
		{seconds, "1M", "720h0m0s <nil>"},
		{flag, "ON", "true <nil>"},
		{flag, "1", `false invalid value "1", it must be "on" or "off"`},
		{code, "503", "503 <nil>"},
		{code, "200", "200 value must be between 400 and 599"},
		{code, "-1", "0 invalid number"},
		{bounded, "1k", "1024 value must be equal to or greater than 4096"},
		{level, "WARN", "4 <nil>"},
		{level, "loud", `0 invalid value "loud"`},
	} {
		if got := c.parse(c.text); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

type listSettings struct {
	Names []string
	Kept  string
}

var listModule = &conf.Module{
	Name: "lists", New: conf.NewOf[listSettings], Clone: conf.CloneOf[listSettings],
	Enter: func(settings any, in conf.Context) {
		if in == conf.Location {
			settings.(*listSettings).Kept = ""
		}
	},
	Directives: []conf.Directive{
		{Name: "names", Syntax: "<name>...", Default: "a 'b c'", In: conf.HTTP | conf.Server | conf.Location, Repeat: true,
			Set: conf.Words(func(s *listSettings) *[]string { return &s.Names })},
		{Name: "kept", Syntax: "<name> <name>", In: conf.Server | conf.Location,
			Set: conf.Whole(func(s *listSettings) *string { return &s.Kept }, func(a *conf.Args) (string, error) {
				a.Warn("kept is odd")
				if a.Env.(string) != "env" || a.Scope.In != a.In {
					return "", conf.InvalidValue
				}
				return a.Words[1], nil
			})},
	},
}

// What one level writes must not show on another: not on the level above, nor on a sibling.
func TestLevelsDoNotShare(t *testing.T) {
	binder, err := conf.NewBinder([]*conf.Module{coreModule, listModule})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(files(map[string]string{"n": `
http {
    server { kept 1 2; location /1 { } location /2 { names d; names e; kept 3 4; } names x; names y; }
    server { allow all; }
}`}), "/n")
	bound := binder.Bind(tree, "env")
	if err := bound.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	bound.Top.Walk(func(s *conf.Scope) {
		got = append(got, fmt.Sprintf("%s %+v", s.Name, *conf.Settings[listSettings](s, listModule)))
	})
	want := []string{
		"main {Names:[a b c] Kept:}", "http {Names:[a b c] Kept:}",
		"server {Names:[x y] Kept:2}", "location {Names:[x y] Kept:}", "location {Names:[d e] Kept:4}",
		"server {Names:[a b c] Kept:}",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(bound.Warnings) != 2 || bound.Warnings[0].Error() != "kept is odd in /n:3" {
		t.Errorf("warnings: %v", bound.Warnings)
	}
	if s := conf.Settings[limitSettings](bound.Top, limitModule); s == nil || s.Status != 0 {
		t.Errorf("settings of a module that is not listed: %v", s)
	}
}

// A setter of a block can keep the scope that it opens and look into it once all is bound.
func TestInnerScope(t *testing.T) {
	var opened *conf.Scope
	m := &conf.Module{Name: "m", New: conf.NewOf[listSettings], Clone: conf.CloneOf[listSettings], Directives: []conf.Directive{
		{Name: "upstream", Syntax: "<name>", In: conf.HTTP, Opens: conf.Upstream, Set: func(_ any, a *conf.Args) error {
			opened = a.Inner
			conf.Settings[listSettings](a.Inner, listModule) // too early, but no panic
			return nil
		}},
		{Name: "server", Syntax: "<name>", In: conf.Upstream, Repeat: true,
			Set: conf.Words(func(s *listSettings) *[]string { return &s.Names })},
	}}
	binder, err := conf.NewBinder([]*conf.Module{coreModule, m})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(files(map[string]string{"n": "http { upstream u { server a; server b; } server { allow all; } }"}), "/n")
	if err := binder.Bind(tree, nil).Err(); err != nil {
		t.Fatal(err)
	}
	if got := conf.Settings[listSettings](opened, m).Names; opened.Args.Value("name") != "u" || len(got) != 2 {
		t.Errorf("upstream %s: %v", opened.Args.Value("name"), got)
	}
}

// A check's problem comes where nginx checks: when the outermost block ends, before what follows it.
func TestProblemsAreSorted(t *testing.T) {
	b := bind(t, "http { server { } }\nnosuch;\nhttp { }\n")
	want := `no location and no rules in server in /x.conf:1
unknown directive "nosuch" in /x.conf:2
"http" directive is duplicate in /x.conf:3`
	if got := b.Problems.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b := bind(t, "http { server { } limit_req_status x; }"); len(b.Problems) != 1 {
		t.Errorf("a check ran on a faulty block: %v", b.Problems)
	}
}
