package conf_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"starling/conf"
)

func TestGenerateValidConfigurations(t *testing.T) {
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
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
		g := conf.Generator{Binder: binder, Rand: rand.New(rand.NewPCG(seed, 1)), Sample: sample}
		text := g.Generate()
		if err := bind(t, text).Err(); err != nil {
			t.Errorf("seed %d: %v in\n%s", seed, err, text)
		}
		all += text
	}
	for _, word := range strings.Fields("http server location if limit_req_zone limit_req_dry_run zone=a:1m nodelay allow deny") {
		if !strings.Contains(all, word) {
			t.Errorf("%s was never generated", word)
		}
	}
}

// FuzzQuote: words come back from text as they were.
func FuzzQuote(f *testing.F) {
	for _, word := range []string{"", "a", `a"b`, `\`, `\t`, "a\nb", "${x", "$", "#", "}", "a{", "'", "\\\"", "é\xff"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if len(word) > 1000 { // beyond 4 KB a word cannot be written
			return
		}
		text := conf.Print([]*conf.Node{{Name: "x", Words: []string{word, word}}})
		tree, err := conf.Parse(files(map[string]string{"n": text}), "/n")
		if err != nil || len(tree.Nodes) != 1 || !slices.Equal(tree.Nodes[0].Words, []string{word, word}) {
			t.Errorf("%q was written as %s and read as %v, %v", word, text, tree.Nodes, err)
		}
	})
}
