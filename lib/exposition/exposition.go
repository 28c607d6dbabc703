// Package exposition writes metrics in the text format that Prometheus scrapes.
package exposition

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ContentType is that of a page, version 0.0.4 of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Type is the type of a metric.
type Type string

// A Counter only grows while the process runs, a Gauge goes up and down, a Histogram counts values in buckets.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Label is a name and its value. The name must be valid in Prometheus; the value may be any text.
type Label struct{ Name, Value string }

// Page collects the samples of one scrape. The zero Page is ready.
type Page struct{ families map[string]*family }

type family struct {
	kind    Type
	help    string
	samples map[string]float64 // by the text of their labels
	// histograms are the samples of a Histogram, by the text of their labels.
	histograms map[string]*samples
}

// samples are one histogram.
type samples struct {
	labels []Label
	counts map[float64]float64 // by the upper bound, each of its own
	sum    float64
}

// Bucket has the number of values up to a bound and above the one before; the last bound is infinite.
type Bucket struct{ Bound, Count float64 }

// AddHistogram adds a histogram to the family of its name; of those with equal labels the sum is shown.
func (p *Page) AddHistogram(name, help string, labels []Label, buckets []Bucket, sum float64) {
	f := p.family(name, Histogram, help)
	key := string(appendLabels(nil, labels))
	h := f.histograms[key]
	if h == nil {
		h = &samples{labels: labels, counts: map[float64]float64{}}
		f.histograms[key] = h
	}
	for _, b := range buckets {
		h.counts[b.Bound] += b.Count
	}
	h.sum += sum
}

func (p *Page) family(name string, kind Type, help string) *family {
	if p.families == nil {
		p.families = map[string]*family{}
	}
	f := p.families[name]
	if f == nil {
		f = &family{kind: kind, help: help, samples: map[string]float64{}, histograms: map[string]*samples{}}
		p.families[name] = f
	}
	return f
}

// Add adds a sample to the family of its name; kind and help of the first sample count. Prometheus would reject the
// whole page if samples had equal labels: of such counters the sum is shown, of gauges the maximum.
func (p *Page) Add(name string, kind Type, help string, labels []Label, value float64) {
	f := p.family(name, kind, help)
	key := string(appendLabels(nil, labels))
	before, there := f.samples[key]
	switch {
	case !there:
		f.samples[key] = value
	case f.kind == Counter:
		f.samples[key] = before + value
	default:
		f.samples[key] = max(before, value)
	}
}

// Append writes the page, families and samples in the order of their names.
func (p *Page) Append(dst []byte) []byte {
	for _, name := range sorted(p.families) {
		f := p.families[name]
		dst = append(dst, "# HELP "+name+" "+helpEscapes.Replace(f.help)+"\n# TYPE "+name+" "+string(f.kind)+"\n"...)
		for _, labels := range sorted(f.samples) {
			dst = append(append(append(dst, name...), labels...), ' ')
			dst = append(strconv.AppendFloat(dst, f.samples[labels], 'g', -1, 64), '\n')
		}
		for _, labels := range sorted(f.histograms) {
			dst = f.histograms[labels].append(dst, name)
		}
	}
	return dst
}

// append writes the buckets, which are cumulative in this format, the sum and the count.
func (h *samples) append(dst []byte, name string) []byte {
	line := func(suffix string, labels []Label, value float64) {
		dst = append(appendLabels(append(append(dst, name...), suffix...), labels), ' ')
		dst = append(strconv.AppendFloat(dst, value, 'g', -1, 64), '\n')
	}
	count := 0.0
	for _, bound := range slices.Sorted(maps.Keys(h.counts)) {
		count += h.counts[bound]
		le := Label{Name: "le", Value: strconv.FormatFloat(bound, 'g', -1, 64)}
		line("_bucket", append(slices.Clip(h.labels), le), count)
	}
	line("_sum", h.labels, h.sum)
	line("_count", h.labels, count)
	return dst
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	valueEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// appendLabels writes {name="value",…}, nothing for none, in the order of the names.
func appendLabels(dst []byte, labels []Label) []byte {
	if len(labels) == 0 {
		return dst
	}
	labels = slices.SortedFunc(slices.Values(labels), func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	separator := byte('{')
	for _, l := range labels {
		dst = append(append(append(dst, separator), l.Name...), '=', '"')
		dst = append(append(dst, valueEscapes.Replace(strings.ToValidUTF8(l.Value, "\uFFFD"))...), '"')
		separator = ','
	}
	return append(dst, '}')
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
