package exposition_test

import (
	"math"
	"strings"
	"testing"

	"starling/lib/exposition"
)

// Buckets are cumulative on the page, and those of equal labels add up.
func TestHistogram(t *testing.T) {
	var p exposition.Page
	zone := []exposition.Label{{Name: "zone", Value: "x"}}
	p.AddHistogram("h_seconds", "Times.", zone, []exposition.Bucket{{math.Inf(1), 4}, {0.005, 1}, {10, 2}}, 1.5)
	p.AddHistogram("h_seconds", "", zone, []exposition.Bucket{{0.005, 1}, {10, 0}, {math.Inf(1), 0}}, 0.25)
	p.AddHistogram("h_seconds", "", nil, []exposition.Bucket{{math.Inf(1), 0}}, 0)
	want := strings.Join([]string{
		`# HELP h_seconds Times.`,
		`# TYPE h_seconds histogram`,
		`h_seconds_bucket{le="+Inf"} 0`,
		`h_seconds_sum 0`,
		`h_seconds_count 0`,
		`h_seconds_bucket{le="0.005",zone="x"} 2`,
		`h_seconds_bucket{le="10",zone="x"} 4`,
		`h_seconds_bucket{le="+Inf",zone="x"} 8`,
		`h_seconds_sum{zone="x"} 1.75`,
		`h_seconds_count{zone="x"} 8`,
		``}, "\n")
	if got := string(p.Append(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

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
