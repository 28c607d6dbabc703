// Package exposition writes metrics in the text format that Prometheus scrapes.
package exposition

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ContentType is that of a page, version 0.0.4 of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Type is the type of a metric: counter or gauge.
type Type string

// A Counter only grows while the process runs, a Gauge goes up and down.
const (
	Counter Type = "counter"
	Gauge   Type = "gauge"
)

// Label is a name and its value. The name must be valid in Prometheus; the value may be any text.
type Label struct{ Name, Value string }

// Page collects the samples of one scrape. The zero Page is ready.
type Page struct{ families map[string]*family }

type family struct {
	kind    Type
	help    string
	samples map[string]float64 // by the text of their labels
}

// Add adds a sample to the family of its name; kind and help of the first sample count. Prometheus would reject the
// whole page if samples had equal labels: of such counters the sum is shown, of gauges the maximum.
func (p *Page) Add(name string, kind Type, help string, labels []Label, value float64) {
	if p.families == nil {
		p.families = map[string]*family{}
	}
	f := p.families[name]
	if f == nil {
		f = &family{kind: kind, help: help, samples: map[string]float64{}}
		p.families[name] = f
	}
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
	}
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
