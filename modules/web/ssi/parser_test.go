package ssi

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// parsed is all that is found in pieces of n bytes.
func parsed(text []byte, n int) string {
	x := parser{valueBytes: 20}
	var out bytes.Buffer
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		for len(piece) > 0 {
			found, text, rest := x.next(piece)
			piece = rest
			switch found {
			case foundText:
				out.Write(text)
			case foundCommand:
				fmt.Fprintf(&out, "{%s}", x.command.appendTo(nil))
			case foundError:
				fmt.Fprintf(&out, "{error %v}", x.fault)
			}
		}
	}
	return out.String() + string(x.end())
}

// FuzzParser: what is found does not depend on the pieces, and memory is bounded.
func FuzzParser(f *testing.F) {
	seeds := []string{
		"", "<", "<!--#", "a<<!--#b c='d' e=\"f\\\"\" -->g", "<!--#x y-->", "<!--# - --> -->", "<!--#a b = 'c'- -->--->",
		"<!--<!--#x-->",
	}
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		whole := parsed(text, len(text)+1)
		for _, n := range []int{1, 2, 3, 7} {
			if got := parsed(text, n); got != whole {
				t.Fatalf("in pieces of %d: %q, at once: %q", n, got, whole)
			}
		}
	})
}

func TestDates(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 4, 5, 0, time.UTC) // a Sunday
	for format, want := range map[string]string{
		"%A, %d-%b-%Y %H:%M:%S %Z":  "Sunday, 01-Mar-2026 13:04:05 GMT",
		"%a %e %B %y %I%p %j %F %T": "Sun  1 March 26 01PM 060 2026-03-01 13:04:05",
		"%s":                        "1772370245", "%u%w": "70", "%U %W %V %G %g %C": "09 08 09 2026 26 20", "%k|%l|%n|%t|%%|%R|%D": "13| 1|\n|\t|%|13:04|03/01/26",
		"%z": "+0000", "%Q%": "%Q%", "plain": "plain",
	} {
		if got, ok := appendDate(nil, []byte(format), at); !ok || string(got) != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	local := at.In(time.FixedZone("UTC", 0))
	if got, _ := appendDate(nil, []byte("%Z"), local); string(got) != "UTC" {
		t.Errorf("the local zone UTC is called %q", got)
	}
	if _, ok := appendDate(nil, bytes.Repeat([]byte("%A"), 400), at); ok {
		t.Error("a date of 2,400 bytes")
	}
}
