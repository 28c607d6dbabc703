package core_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"starling/conf"
	"starling/lib/histogram"
	"starling/modules/core"
	"starling/plan"
)

func TestLatencyBuckets(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", fmt.Sprint(histogram.DefaultBounds)},
		{"latency_buckets " + documentedBuckets(t) + ";", fmt.Sprint(histogram.DefaultBounds)},
		{"latency_buckets 1s;", "[1s]"},
		{"latency_buckets 5 100ms 1m;", "an error"},
		{"latency_buckets 5ms 100ms 1m;", "[5ms 100ms 1m0s]"},
		{"latency_buckets;", "an error"},
		{"latency_buckets x;", "an error"},
		{"latency_buckets 0;", "an error"},
		{"latency_buckets 2s 1s;", "an error"},
		{"latency_buckets 25h;", "an error"},
		{"latency_buckets 1s; latency_buckets 2s;", "an error"},
	} {
		p := plan.New()
		binder, err := conf.NewBinder([]*conf.Module{&core.Module})
		if err != nil {
			t.Fatal(err)
		}
		tree, err := conf.Parse(fstest.MapFS{"test.conf": {Data: []byte(c.text)}}, "/test.conf")
		if err != nil {
			t.Fatal(err)
		}
		err = binder.Bind(tree, p).Err()
		got := fmt.Sprint(p.Latency)
		if err != nil {
			got = "an error"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s (%v)", c.text, got, c.want, err)
		}
	}
}

// documentedBuckets is the default as the reference shows it.
func documentedBuckets(t *testing.T) string {
	t.Helper()
	for _, d := range core.Module.Directives {
		if d.Name == "latency_buckets" {
			return d.DefaultDoc
		}
	}
	t.Fatal("latency_buckets is not declared")
	return ""
}
