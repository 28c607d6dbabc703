package remote

import (
	"strings"
	"testing"
	"time"
)

func TestCrop(t *testing.T) {
	const text = "heading\nébène\nthird\nfourth\n"
	for _, c := range []struct {
		columns, rows int
		want          string
	}{
		{80, 24, "heading|ébène|third|fourth"},
		{80, 4, "heading|ébène|third|fourth"},
		{80, 3, "heading|ébène|... 2 more lines"},
		{3, 24, "hea|ébè|thi|fou"},
		{0, 0, "heading|ébène|third|fourth"},
	} {
		if got := strings.ReplaceAll(crop(text, c.columns, c.rows), "\n", "|"); got != c.want {
			t.Errorf("%d x %d: %q, want %q", c.columns, c.rows, got, c.want)
		}
	}
}

// A rate needs two looks; a counter that was set to zero in between has none.
func TestRate(t *testing.T) {
	total := func(t *traffic) int64 { return t.requests.Total }
	first, second := &traffic{at: time.Unix(0, 0)}, &traffic{at: time.Unix(2, 0)}
	first.requests.Total, second.requests.Total = 100, 105
	for _, c := range []struct {
		now, last *traffic
		want      string
	}{{second, first, "2.5/s"}, {first, nil, "-"}, {first, first, "-"}, {&traffic{at: time.Unix(3, 0)}, first, "-"}} {
		if got := c.now.rate(c.last, total); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
