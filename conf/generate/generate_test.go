package generate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
	"starling/conf/generate"
)

type settings struct {
	Status int
	Words  []string
}

// zoneOnce refuses a second zone of one name, as declarations that need others do.
func zoneOnce(s *settings, a *conf.Args) error {
	if slices.Contains(s.Words, a.Value("zone")) {
		return fmt.Errorf("duplicate zone")
	}
	s.Words = append(s.Words, a.Value("zone"))
	return nil
}

var module = &conf.Module{
	Name: "m", New: conf.NewOf[settings], Clone: conf.CloneOf[settings],
	Directives: []conf.Directive{
		{Name: "events", In: conf.Main, Opens: conf.Events},
		{Name: "http", In: conf.Main, Opens: conf.HTTP},
		{Name: "server", In: conf.HTTP, Opens: conf.Server, Repeat: true},
		{Name: "location", Syntax: "[=|~|~*|^~] <path>", In: conf.Server | conf.Location, Opens: conf.Location, Repeat: true},
		{Name: "limit_req_zone", Syntax: "<key> zone=<name>:<size> rate=<rate> [sync]", In: conf.HTTP, Repeat: true, Set: conf.Raw(zoneOnce)},
		{Name: "limit_req", Syntax: "zone=<zone> [burst=<number>] [nodelay|delay=<number>]", In: conf.HTTP | conf.Location, Repeat: true,
			Set: conf.List(func(s *settings) *[]string { return &s.Words }, func(a *conf.Args) (string, error) { return a.Value("zone"), nil })},
		{Name: "limit_req_status", Syntax: "<code>", Default: "503", In: conf.HTTP | conf.Server,
			Set: conf.Field(func(s *settings) *int { return &s.Status }, conf.Int(400, 599))},
	},
}

func TestGenerateValidConfigurations(t *testing.T) {
	binder, err := conf.NewBinder([]*conf.Module{module})
	if err != nil {
		t.Fatal(err)
	}
	sample := func(directive, name string) []string {
		if name == "zone" && directive == "limit_req_zone" {
			return []string{"a:1m", "b:32k"}
		}
		return nil
	}
	all := ""
	for seed := range uint64(100) {
		g := generate.Generator{Binder: binder, Rand: rand.New(rand.NewPCG(seed, 1)), Sample: sample}
		text := g.Generate()
		if err := bind(binder, text); err != nil {
			t.Errorf("seed %d: %v in\n%s", seed, err, text)
		}
		all += text
	}
	for _, word := range strings.Fields("http server location limit_req_zone limit_req_status zone=a:1m nodelay") {
		if !strings.Contains(all, word) {
			t.Errorf("%s was never generated", word)
		}
	}
}

func bind(binder *conf.Binder, text string) error {
	tree, _ := conf.Parse(file(text), "/n")
	return binder.Bind(tree, nil).Err()
}

func file(text string) fstest.MapFS { return fstest.MapFS{"n": {Data: []byte(text)}} }

// FuzzQuote: words come back from text as they were.
func FuzzQuote(f *testing.F) {
	for _, word := range []string{"", "a", `a"b`, `\`, `\t`, "a\nb", "${x", "$", "#", "}", "a{", "'", "\\\"", "é\xff"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if len(word) > 1000 { // beyond 4 KB a word cannot be written
			return
		}
		text := generate.Print([]*conf.Node{{Name: "x", Words: []string{word, word}}})
		tree, err := conf.Parse(file(text), "/n")
		if err != nil || len(tree.Nodes) != 1 || !slices.Equal(tree.Nodes[0].Words, []string{word, word}) {
			t.Errorf("%q was written as %s and read as %v, %v", word, text, tree.Nodes, err)
		}
	})
}
