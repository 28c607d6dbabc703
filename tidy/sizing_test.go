package tidy

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"starling/lib/clock"
	"starling/zone/kinds"
)

const megabyte = 1 << 20

var morning = clock.Reading{WallMS: 1e12, MonoMS: 1e12}

// fill puts records of a size into a zone of a megabyte until it takes no more, and returns how many it holds.
var fill = map[string]func(t *testing.T, keyBytes, valueBytes int) int64{
	"`limit_req_zone`": func(t *testing.T, keyBytes, _ int) int64 {
		b := kinds.NewBucket(kinds.BucketConfig{Name: "z", Bytes: megabyte, RateMilli: 1})
		for i := range 40_000 {
			b.Account(sized(i, keyBytes), morning, 1000)
		}
		return b.Stats().Records
	},
	"`limit_conn_zone … sync`": func(_ *testing.T, keyBytes, _ int) int64 {
		c := kinds.NewConn(kinds.ConnConfig{Name: "z", Bytes: megabyte})
		for i, verdict := 0, kinds.Passed; verdict == kinds.Passed; i++ {
			_, verdict = c.Enter(sized(i, keyBytes), 1)
		}
		return c.Stats().Records
	},
	"`sticky learn`": func(t *testing.T, keyBytes, valueBytes int) int64 {
		s := kinds.NewSession(kinds.SessionConfig{Name: "z", Bytes: megabyte, TimeoutMS: 3_600_000})
		for i := range 40_000 {
			if err := s.Bind(sized(i, keyBytes), sized(0, valueBytes), morning); err != nil {
				t.Fatal(err)
			}
		}
		return s.Stats().Records
	},
	"`keyval_zone`": func(_ *testing.T, keyBytes, valueBytes int) int64 {
		k := kinds.NewKeyval(kinds.KeyvalConfig{Name: "z", Bytes: megabyte})
		for i := 0; k.Set(sized(i, keyBytes), sized(0, valueBytes), kinds.NoExpire, morning) == nil; i++ {
		}
		return k.Stats().Records
	},
	"tombstones": func(t *testing.T, keyBytes, _ int) int64 {
		k := kinds.NewKeyval(kinds.KeyvalConfig{Name: "z", Bytes: megabyte, Sync: true})
		for i := range 40_000 {
			key := sized(i, keyBytes)
			if err := k.Set(key, []byte("1"), kinds.NoExpire, morning); err != nil {
				t.Fatal(err)
			}
			if err := k.Delete(key, morning); err != nil {
				t.Fatal(err)
			}
		}
		return k.Stats().Tombstones
	},
}

// sized is the i-th key of a length.
func sized(i, bytes int) []byte {
	text := fmt.Sprintf("%0*x", bytes, i)
	return []byte(text[len(text)-bytes:])
}

// TestSizesOfTheDocs: docs/sizing.md says how many records fit, and what the bench has measured.
func TestSizesOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/sizing.md")
	if err != nil {
		t.Fatal(err)
	}
	number := func(cell string) int {
		n, err := strconv.Atoi(cell)
		if err != nil {
			t.Fatalf("docs/sizing.md: %q is no number", cell)
		}
		return n
	}
	measured := measuredFigures(t, string(page))
	zones, figures := 0, 0
	for _, row := range regexp.MustCompile(`(?m)^\| (.*) \|$`).FindAllStringSubmatch(string(page), -1) {
		cells := strings.Split(row[1], " | ")
		switch {
		case fill[cells[0]] != nil:
			zones++
			if got := fill[cells[0]](t, number(cells[2]), number(cells[3])); got != int64(number(cells[4])) {
				t.Errorf("%s holds %d records: docs/sizing.md has\n%s", cells[0], got, row[0])
			}
		case len(cells) == 3 && cells[1] != "key bytes":
			zones++
			if got := fill["tombstones"](t, number(cells[1]), 0); got != int64(number(cells[2])) {
				t.Errorf("%d tombstones: docs/sizing.md has\n%s", got, row[0])
			}
		case len(cells) == 2 && cells[1] != "measured":
			figures++
			_, decimals, _ := strings.Cut(cells[1], ".")
			value, known := measured[cells[0]]
			if got := strconv.FormatFloat(value, 'f', len(decimals), 64); !known || got != cells[1] {
				t.Errorf("the bench has measured %q as %s: docs/sizing.md has\n%s", cells[0], got, row[0])
			}
		}
	}
	if zones < 8 || figures < 8 {
		t.Errorf("%d rows of zones, %d of figures: has the page changed its form?", zones, figures)
	}
}

// measuredFigures are those of the results that the page links.
func measuredFigures(t *testing.T, page string) map[string]float64 {
	var results struct{ Figures map[string]float64 }
	for _, link := range regexp.MustCompile(`bench/results/[^)]*\.json`).FindAllString(page, -1) {
		text, err := os.ReadFile("../" + link)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &results); err != nil { // it adds to the map
			t.Fatal(err)
		}
	}
	return results.Figures
}
