package admin_test

import (
	"math"
	"strings"
	"testing"

	"starling/admin"
	"starling/lib/exposition"
)

// body is a resource's answer with all shapes that metrics are taken from.
type body struct {
	Total int              `json:"total"`
	Ready bool             `json:"ready"`
	Zones map[string]shape `json:"zones"`
	Peers []shape          `json:"peers"`
	Left  *int             `json:"left,omitempty"`
	Times map[string]any   `json:"times"`
}

type shape struct {
	Name    string           `json:"name"`
	Address string           `json:"address,omitempty"`
	State   string           `json:"state"`
	LagMS   int64            `json:"lag_ms"`
	Digest  string           `json:"digest"`
	Codes   map[string]int64 `json:"codes"`
	Lacks   []string         `json:"lacks"`
}

func TestMetricsAreFoundInTheAnswer(t *testing.T) {
	up := map[string]float64{"up": 1}
	answer := body{Total: 3, Ready: true,
		Zones: map[string]shape{"b": {State: "up", Digest: "ffffffffffffffff"}, "a": {State: "down", LagMS: 1500, Digest: ""}},
		Peers: []shape{{Name: "x", Address: "1.2.3.4:5", Codes: map[string]int64{"200": 7, "404": 1}, Lacks: []string{"one", "two"}}, {Name: "y"}},
	}
	answer.Times = map[string]any{"count": 3, "sum": 1500, "buckets": map[string]int{"5": 1, "inf": 2}}
	digest := admin.Gauge("m", "zones.*zone.digest", "")
	digest.Hex = true
	for _, c := range []struct {
		metric admin.Metric
		want   string
	}{
		{admin.Counter("m", "total", ""), "m 3"},
		{admin.Gauge("m", "ready", ""), "m 1"},
		{admin.Gauge("m", "left", ""), ""},
		{admin.Gauge("m", "total.deeper", ""), ""},
		{admin.Gauge("m", "zones.*zone.state", "").Of(up), `m{zone="a"} 0|m{zone="b"} 1`},
		{admin.Gauge("m", "zones.*zone.state", ""), ""},
		{admin.Gauge("m", "zones.*zone.lag_ms", "").By(1e-3), `m{zone="a"} 1.5|m{zone="b"} 0`},
		{digest, `m{zone="b"} 4.503599627370495e+15`},
		{admin.Counter("m", "peers.[peer=name].codes.*code", ""), `m{code="200",peer="x"} 7|m{code="404",peer="x"} 1`},
		{admin.Counter("m", "peers.[peer=name].codes.200", "").Coded("2xx"), `m{code="2xx",peer="x"} 7`},
		{admin.Gauge("m", "peers.[peer=name,address=address]", ""), `m{address="",peer="y"} 1|m{address="1.2.3.4:5",peer="x"} 1`},
		{admin.Gauge("m", "peers.[peer=name].lacks", ""), `m{peer="x"} 2`},
		{admin.Gauge("m", "[none=nothing].total", ""), `m{none=""} 3`},
		{admin.Gauge("m", "[number=total].total", ""), `m{number="3"} 3`},
		{admin.Gauge("m", "[]", ""), "m 1"},
		{admin.Gauge("m", "total", "").Minus(-1).By(math.Inf(1)), "m +Inf"},
		{admin.Histogram("m", "times", ""), `m_bucket{le="0.005"} 1|m_bucket{le="+Inf"} 3|m_sum 1.5|m_count 3`},
		{admin.Histogram("m", "total", ""), ""},
		{admin.Histogram("m", "zones", ""), ""},
	} {
		var asked *admin.Call
		r := admin.Resource{Metrics: []admin.Metric{c.metric}, MetricsTail: []string{"tail"}, Handle: func(call *admin.Call) admin.Answer {
			asked = call
			return admin.Answer{Body: answer}
		}}
		var page exposition.Page
		if err := r.Expose(&page); err != nil {
			t.Fatal(err)
		}
		var samples []string
		for line := range strings.Lines(string(page.Append(nil))) {
			if line[0] != '#' {
				samples = append(samples, strings.TrimSpace(line))
			}
		}
		if got := strings.Join(samples, "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.metric.At, got, c.want)
		}
		if asked.Method != "GET" || asked.Tail[0] != "tail" {
			t.Errorf("asked with %+v", asked)
		}
	}
}

func TestWhatCannotBeShownNow(t *testing.T) {
	for _, c := range []struct {
		answer admin.Answer
		fails  bool
	}{
		{admin.Fail(404, "PathNotFound", "it has not started"), false},
		{admin.Answer{Status: 204}, false},
		{admin.Answer{Body: func() {}}, true},
	} {
		r := admin.Resource{Path: "x", Metrics: []admin.Metric{admin.Gauge("m", "total", "")}, Handle: func(*admin.Call) admin.Answer { return c.answer }}
		var page exposition.Page
		if err := r.Expose(&page); (err != nil) != c.fails || len(page.Append(nil)) > 0 {
			t.Errorf("%+v: %v", c.answer, err)
		}
	}
}
