package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// curve is one line of a chart: a value for each number of nodes.
type curve struct {
	name   string
	points map[int]float64
}

// charts are the figures of a mesh that are drawn, with the names of their files.
var charts = []struct{ file, figure, title string }{
	{"start-cpu", "start to agreement, CPU s of a node", "CPU seconds of each node from its start to agreement"},
	{"idle-cpu", "idle, % of a core each", "% of a core of each idle node"},
	{"idle-bytes", "idle, bytes a second from each", "Bytes a second from each idle node"},
	{"update-cpu", "an update, CPU us of a node that gets it", "CPU microseconds of a node that gets an update"},
	{"update-bytes", "an update, bytes to each peer", "Bytes of records to each peer for one update"},
	{"core-idle", "idle, a second, bytes", "Bytes a second from each idle node, pure core"},
	{"core-update", "an update, bytes", "Bytes of all nodes for one update, pure core"},
}

var meshFigureName = regexp.MustCompile(`^(\d+) nodes([^:]*): (.*)$`)

// drawCurves draws the figures of saved results as SVG files beside the first one.
func drawCurves(results []string) error {
	curves := make(map[string]map[string]*curve) // by figure and name
	for _, path := range results {
		if err := readCurves(path, curves); err != nil {
			return err
		}
	}
	for _, chart := range charts {
		var list []*curve
		for _, c := range curves[chart.figure] {
			list = append(list, c)
		}
		if len(list) == 0 {
			continue
		}
		slices.SortFunc(list, func(a, b *curve) int { return strings.Compare(a.name, b.name) })
		path := filepath.Join(filepath.Dir(results[0]), "mesh-"+chart.file+".svg")
		if err := os.WriteFile(path, []byte(svg(chart.title, list)), 0o644); err != nil {
			return err
		}
		fmt.Println("written to", path)
	}
	return nil
}

// readCurves adds the points of a saved result.
func readCurves(path string, curves map[string]map[string]*curve) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var saved struct{ Figures map[string]float64 }
	if err := json.Unmarshal(text, &saved); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for name, value := range saved.Figures {
		part := meshFigureName.FindStringSubmatch(name)
		if part == nil {
			continue
		}
		nodes, err := strconv.Atoi(part[1])
		if err != nil {
			return fmt.Errorf("%s: %q: %w", path, name, err)
		}
		if curves[part[3]] == nil {
			curves[part[3]] = make(map[string]*curve)
		}
		c := curves[part[3]][part[2]]
		if c == nil {
			c = &curve{name: cmp.Or(strings.Trim(part[2], " ,"), "plain TCP"), points: make(map[int]float64)}
			curves[part[3]][part[2]] = c
		}
		c.points[nodes] = value
	}
	return nil
}

// The size of a chart, and of the area of its curves.
const (
	chartWidth, chartHeight      = 640, 360
	left, right, top, bottom     = 70, 610, 50, 290
	legendHeight, legendFirstRow = 16, 330
	gridLines                    = 4
)

var chartColours = []string{"#1f77b4", "#aec7e8", "#d62728", "#ff9896"}

// svg draws curves over the number of nodes. The steps from 3 to 7 to 15 nodes, and so on, are equally wide.
func svg(title string, list []*curve) string {
	var nodes []int
	most := 0.0
	for _, c := range list {
		for n, value := range c.points {
			if most = max(most, value); !slices.Contains(nodes, n) {
				nodes = append(nodes, n)
			}
		}
	}
	slices.Sort(nodes)
	x := func(n int) float64 {
		return left + float64(right-left)*float64(slices.Index(nodes, n))/float64(max(len(nodes)-1, 1))
	}
	y := func(value float64) float64 { return bottom - (bottom-top)*value/max(most, 1e-9) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%d" y="28" font-size="15">%s</text>
`, chartWidth, chartHeight, left, html.EscapeString(title))
	for i := range gridLines + 1 {
		value := most * float64(i) / gridLines
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.3g</text>
`, left, y(value), right, left-6, y(value)+4, value)
	}
	for _, n := range nodes {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d nodes</text>
`, x(n), bottom+18, n)
	}
	for i, c := range list {
		colour := chartColours[i%len(chartColours)]
		var line []string
		for _, n := range nodes {
			if value, measured := c.points[n]; measured {
				line = append(line, fmt.Sprintf("%.1f,%.1f", x(n), y(value)))
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>
`, x(n), y(value), colour)
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>
<text x="%d" y="%d" fill="%s">%s</text>
`, strings.Join(line, " "), colour, left+(i%2)*280, legendFirstRow+(i/2)*legendHeight, colour, html.EscapeString(c.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
