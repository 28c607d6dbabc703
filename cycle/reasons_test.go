package cycle_test

import (
	"strings"
	"testing"

	"starling/conf"
	"starling/cycle"
)

// TestEachRefusalHasItsReason: `check` says more than "keep nginx" about each word of nginx that starling has not.
func TestEachRefusalHasItsReason(t *testing.T) {
	binder, err := conf.NewBinder(cycle.All())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	declared := map[string]conf.Context{}
	for name, all := range binder.Directives() {
		for _, d := range all {
			declared[name] |= d.In
			names = append(names, d.Unsupported...)
		}
	}
	for _, k := range conf.KnownDirectives() {
		if k.Name != "include" && k.In&^declared[k.Name] == k.In { // the parser has include
			names = append(names, k.Name)
		}
	}
	if len(names) < 100 {
		t.Fatalf("only %d words are refused: %v", len(names), names)
	}
	for _, name := range names {
		if text := conf.Instead(strings.TrimSuffix(name, "=")); strings.Contains(text, "keep nginx for this part") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
