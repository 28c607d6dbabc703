package conf_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
	"starling/nginx/units"
)

// The modules of the tests: a small http and a limiter.

type limitSettings struct {
	Zones  []limitZone
	Limits []limit
	Status int
	DryRun bool
}

type limitZone struct {
	Key, Name string
	SizeBytes int64
	MilliRate int64
	Sync      bool
}

type limit struct {
	Zone  string
	Burst int
}

func parseZone(a *conf.Args) (z limitZone, err error) {
	name, size, _ := strings.Cut(a.Value("zone"), ":")
	z = limitZone{Key: a.Value("key"), Name: name, Sync: a.Has("sync")}
	if z.SizeBytes, err = units.Size(size); err != nil {
		return z, fmt.Errorf("invalid zone size \"zone=%s\"", a.Value("zone"))
	}
	if z.MilliRate, err = units.Rate(a.Value("rate")); err != nil {
		return z, fmt.Errorf("invalid rate \"rate=%s\"", a.Value("rate"))
	}
	return z, nil
}

func parseLimit(a *conf.Args) (l limit, err error) {
	l.Zone = a.Value("zone")
	if a.Has("burst") {
		if l.Burst, err = conf.Int(1, 1<<20)(a.Value("burst")); err != nil {
			return l, fmt.Errorf("invalid burst value \"burst=%s\"", a.Value("burst"))
		}
	}
	return l, nil
}

var limitModule = &conf.Module{
	Name:  "limit_req",
	Doc:   "Limits the rate of requests per key with a leaky bucket.",
	New:   conf.NewOf[limitSettings],
	Clone: conf.CloneOf[limitSettings],
	Directives: []conf.Directive{{
		Name: "limit_req_zone", Syntax: "<key> zone=<name>:<size> rate=<rate> [sync]", In: conf.HTTP, Repeat: true,
		Doc: "Declares the zone that keeps a bucket per key.",
		Set: conf.List(func(s *limitSettings) *[]limitZone { return &s.Zones }, parseZone),
	}, {
		Name: "limit_req", Syntax: "zone=<name> [burst=<number>] [nodelay|delay=<number>]",
		In: conf.HTTP | conf.Server | conf.Location, Repeat: true,
		Doc: "Applies a zone to the requests of this block.",
		Set: conf.List(func(s *limitSettings) *[]limit { return &s.Limits }, parseLimit),
	}, {
		Name: "limit_req_status", Syntax: "<code>", Default: "503", In: conf.HTTP | conf.Server | conf.Location,
		Doc: "Sets the status of rejected requests.",
		Set: conf.Field(func(s *limitSettings) *int { return &s.Status }, conf.Bounds(400, 599)),
	}, {
		Name: "limit_req_dry_run", Syntax: "on | off", Default: "off", In: conf.HTTP | conf.Server | conf.Location,
		Doc: "Counts excess without rejecting.",
		Set: conf.Field(func(s *limitSettings) *bool { return &s.DryRun }, conf.Flag),
	}},
}

type coreSettings struct {
	Rules []string // of allow and deny together
	Types map[string]string
}

func setTypes(s *coreSettings, a *conf.Args) error {
	s.Types = map[string]string{}
	for _, line := range a.Node.Block {
		if line.Name == "include" { // the parser followed those with one word
			return conf.At(line, "invalid number of arguments in \"include\" directive")
		}
		for _, extension := range line.Words {
			if _, twice := s.Types[extension]; twice {
				return conf.At(line, "duplicate extension \"%s\"", extension)
			}
			s.Types[extension] = line.Name
		}
	}
	return nil
}

func ifIn(in conf.Context) conf.Context {
	if in == conf.Server {
		return conf.ServerIf
	}
	return conf.LocationIf
}

func rule(a *conf.Args) (string, error) { return a.Node.Name + " " + a.Words[0], nil }

func checkServer(s *coreSettings, scope *conf.Scope) error {
	if scope.In == conf.Server && len(scope.All("location")) == 0 && s.Rules == nil {
		return conf.AtEnd(scope.Node, "no location and no rules in server")
	}
	return nil
}

var coreModule = &conf.Module{
	Name: "core", New: conf.NewOf[coreSettings], Clone: conf.CloneOf[coreSettings], Check: conf.CheckOf(checkServer),
	Directives: []conf.Directive{
		{Name: "events", In: conf.Main, Opens: conf.Events},
		{Name: "http", In: conf.Main, Opens: conf.HTTP},
		{Name: "server", In: conf.HTTP, Opens: conf.Server, Repeat: true},
		{Name: "location", Syntax: "[=|~|~*|^~] <path>", In: conf.Server | conf.Location, Opens: conf.Location, Repeat: true},
		{Name: "if", Syntax: "(<condition>...)", In: conf.Server | conf.Location, OpensIn: ifIn, Repeat: true},
		{Name: "types", In: conf.HTTP | conf.Server | conf.Location, Opens: conf.Lines, Set: conf.Raw(setTypes)},
		{Name: "allow", Syntax: "<address>", In: conf.HTTP | conf.Server | conf.Location, Repeat: true,
			Set: conf.List(func(s *coreSettings) *[]string { return &s.Rules }, rule)},
		{Name: "deny", Syntax: "<address>", In: conf.HTTP | conf.Server | conf.Location, Repeat: true,
			Set: conf.List(func(s *coreSettings) *[]string { return &s.Rules }, rule)},
	},
}

func bind(t *testing.T, text string) *conf.Bound {
	t.Helper()
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(fstest.MapFS{"x.conf": {Data: []byte(text)}}, "/x.conf")
	return binder.Bind(tree, nil)
}

func TestInheritance(t *testing.T) {
	b := bind(t, `
http {
    limit_req_zone $a zone=a:1m rate=60r/m sync;
    server {
        location / { }
        location /x { limit_req zone=b burst=5 nodelay; limit_req zone=c; deny all; }
        allow 10.0.0.1;
        deny all;
    }
    limit_req zone=a;       # after the nested block, as nginx allows
    limit_req_status 429;
    allow all;
}`)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	server := b.Top.Inner[0].Inner[0]
	const zones = "&{Zones:[{Key:$a Name:a SizeBytes:1048576 MilliRate:1000 Sync:true}] "
	for i, want := range []string{
		zones + "Limits:[{Zone:a Burst:0}] Status:429 DryRun:false} [allow 10.0.0.1 deny all]",
		zones + "Limits:[{Zone:b Burst:5} {Zone:c Burst:0}] Status:429 DryRun:false} [deny all]",
	} {
		in := server.Inner[i]
		got := fmt.Sprintf("%+v %v", conf.Settings[limitSettings](in, limitModule), conf.Settings[coreSettings](in, coreModule).Rules)
		if got != want {
			t.Errorf("location %d:\ngot  %s\nwant %s", i, got, want)
		}
	}
}
