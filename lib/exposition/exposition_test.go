package exposition_test

import (
	"strings"
	"testing"

	"starling/lib/exposition"
)

func TestPage(t *testing.T) {
	var p exposition.Page
	zone := func(name string) []exposition.Label { return []exposition.Label{{Name: "zone", Value: name}} }
	p.Add("b_total", exposition.Counter, "Twice\nin \\ a page.", zone("x"), 2)
	p.Add("b_total", exposition.Counter, "", zone("x"), 3)
	p.Add("b_total", exposition.Counter, "", zone("a"), 1e20)
	p.Add("a", exposition.Gauge, "The greater.", []exposition.Label{{Name: "z", Value: "1"}, {Name: "b", Value: "say \"hi\"\n\\\xff"}}, 0.25)
	p.Add("a", exposition.Gauge, "The greater.", []exposition.Label{{Name: "b", Value: "say \"hi\"\n\\\xff"}, {Name: "z", Value: "1"}}, -1)
	p.Add("c", exposition.Gauge, "Bare.", nil, 7)
	want := strings.Join([]string{
		`# HELP a The greater.`,
		`# TYPE a gauge`,
		`a{b="say \"hi\"\n\\` + "\uFFFD" + `",z="1"} 0.25`,
		`# HELP b_total Twice\nin \\ a page.`,
		`# TYPE b_total counter`,
		`b_total{zone="a"} 1e+20`,
		`b_total{zone="x"} 5`,
		`# HELP c Bare.`,
		`# TYPE c gauge`,
		`c 7`,
		``}, "\n")
	if got := string(p.Append(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
