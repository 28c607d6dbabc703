package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"starling/lib/exposition"
	"starling/lib/histogram"
)

// Metric is a figure of a resource as a Prometheus metric. A resource declares its metrics beside its response to the
// API, and they are read from that response, so both always agree. Names and labels are those of the NGINX Plus
// exporter if it has the figure.
type Metric struct {
	Name string
	Type exposition.Type
	Help string
	// At is the path to the figure in the body, steps with dots between: the name of a field; "*zone" for every member
	// of an object, whose name becomes the label; "[server=name,address=addr]" for every element of a list, or the
	// object itself, with labels from its fields ("[]": none). A path that ends with such a step has the value 1, one
	// that ends at a list its length.
	At string
	// Code, if not empty, is one more label: the class or code of an answer.
	Code string
	// Scale turns the figure into base units; 0 is 1.
	Scale float64
	// Less is subtracted from the figure before it is scaled: NGINX Plus counts some from 1.
	Less float64
	// Values are the numbers for texts; others count 0.
	Values map[string]float64
	// Hex means that the figure is a text of hexadecimal digits, of which a float can hold the last 13.
	Hex bool
}

// Expose adds the metrics of a resource to a page.
func (r *Resource) Expose(page *exposition.Page) error {
	if len(r.Metrics) == 0 {
		return nil
	}
	answer := r.Handle(&Call{Method: "GET", Version: MetricsVersion, Tail: r.MetricsTail})
	if answer.Err != nil || answer.Body == nil {
		return nil // it has nothing to show now, like zone_sync before it starts
	}
	text, err := json.Marshal(answer.Body)
	if err != nil {
		return fmt.Errorf("metrics of %s: %w", r.Path, err)
	}
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("metrics of %s: %w", r.Path, err)
	}
	for i := range r.Metrics {
		m := &r.Metrics[i]
		var labels []exposition.Label
		if m.Code != "" {
			labels = append(labels, exposition.Label{Name: "code", Value: m.Code})
		}
		m.walk(page, body, m.At, labels)
	}
	return nil
}

// MetricsVersion is the version of the API that the metrics are read from.
const MetricsVersion = 9

// walk follows the path from a value and adds the figures at its end.
func (m *Metric) walk(page *exposition.Page, at any, way string, labels []exposition.Label) {
	if way == "" && m.Type == exposition.Histogram {
		m.histogram(page, at, labels)
		return
	}
	if way == "" {
		if v, ok := m.value(at); ok {
			page.Add(m.Name, m.Type, m.Help, labels, v)
		}
		return
	}
	step, rest, _ := strings.Cut(way, ".")
	switch {
	case step[0] == '[':
		elements, isList := at.([]any)
		if !isList {
			elements = []any{at}
		}
		for _, e := range elements {
			m.element(page, e, strings.Trim(step, "[]"), rest, labels)
		}
	case step[0] == '*':
		members, _ := at.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			m.walk(
				page,
				members[name],
				rest,
				append(slices.Clip(labels), exposition.Label{Name: step[1:], Value: name}),
			)
		}
	default:
		members, _ := at.(map[string]any)
		if v, there := members[step]; there {
			m.walk(page, v, rest, labels)
		}
	}
}

// element continues at an object with labels from its fields: "server=name,address=addr".
func (m *Metric) element(page *exposition.Page, object any, fields, rest string, labels []exposition.Label) {
	o, ok := object.(map[string]any)
	if !ok {
		return
	}
	labels = slices.Clip(labels)
	for pair := range strings.SplitSeq(fields, ",") {
		label, field, named := strings.Cut(pair, "=")
		if !named {
			break
		}
		value, _ := o[field].(string) // unknown values are empty
		if n, isNumber := o[field].(float64); isNumber {
			value = strconv.FormatFloat(n, 'f', -1, 64)
		}
		labels = append(labels, exposition.Label{Name: label, Value: value})
	}
	if rest == "" {
		page.Add(m.Name, m.Type, m.Help, labels, 1)
		return
	}
	m.walk(page, object, rest, labels)
}

// histogram adds a histogram of the API: each bucket has its own times, and its name is the bound in milliseconds.
func (m *Metric) histogram(page *exposition.Page, at any, labels []exposition.Label) {
	object, _ := at.(map[string]any)
	own, ok := object["buckets"].(map[string]any)
	if !ok {
		return
	}
	var buckets []exposition.Bucket
	for name, count := range own {
		bound := math.Inf(1)
		if name != histogram.Infinite {
			ms, err := strconv.ParseFloat(name, 64)
			if err != nil {
				return
			}
			bound = ms / 1000
		}
		n, _ := count.(float64)
		buckets = append(buckets, exposition.Bucket{Bound: bound, Count: n})
	}
	sumMS, _ := object["sum"].(float64)
	page.AddHistogram(m.Name, m.Help, labels, buckets, sumMS/1000)
}

// value converts a figure to a number.
func (m *Metric) value(figure any) (float64, bool) {
	scale := m.Scale
	if scale == 0 {
		scale = 1
	}
	switch v := figure.(type) {
	case float64:
		return (v - m.Less) * scale, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case []any:
		return float64(len(v)), true
	case string:
		if m.Hex {
			n, err := strconv.ParseUint(v[max(0, len(v)-13):], 16, 64)
			return float64(n), err == nil
		}
		return m.Values[v], m.Values != nil
	}
	return 0, false
}

// Counter and Gauge make the metrics that need only a name, a path and a help text: a counter and a gauge.
func Counter(name, at, help string) Metric {
	return Metric{Name: name, Type: exposition.Counter, At: at, Help: help}
}

// Gauge makes a gauge: see Counter.
func Gauge(name, at, help string) Metric {
	return Metric{Name: name, Type: exposition.Gauge, At: at, Help: help}
}

// Histogram makes a histogram of times: the path ends at histogram.Figures, in milliseconds. The metric is in seconds.
func Histogram(name, at, help string) Metric {
	return Metric{Name: name, Type: exposition.Histogram, At: at, Help: help}
}

// ResponseMetrics are the responses at a path by class and by code.
func ResponseMetrics(prefix, at, help string) []Metric {
	list := []Metric{Counter(prefix+"responses_codes", at+"codes.*code", help+", by code.")}
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		list = append(list, Counter(prefix+"responses", at+class, help+", by class.").Coded(class))
	}
	return list
}

// TLSMetrics are the TLS handshakes at a path; whose are the parties: "with clients".
func TLSMetrics(prefix, at, whose string) []Metric {
	return []Metric{
		Counter(prefix+"ssl_handshakes", at+"handshakes", "TLS handshakes "+whose+" that succeeded."),
		Counter(prefix+"ssl_handshakes_failed", at+"handshakes_failed", "TLS handshakes "+whose+" that failed."),
		Counter(prefix+"ssl_session_reuses", at+"session_reuses", "TLS handshakes "+whose+" that resumed a session."),
	}
}

// By scales a metric to base units.
func (m Metric) By(scale float64) Metric { m.Scale = scale; return m }

// Minus subtracts n from the figure.
func (m Metric) Minus(n float64) Metric { m.Less = n; return m }

// Of maps texts to numbers; others are 0.
func (m Metric) Of(values map[string]float64) Metric { m.Values = values; return m }

// Coded adds the label "code".
func (m Metric) Coded(code string) Metric { m.Code = code; return m }
