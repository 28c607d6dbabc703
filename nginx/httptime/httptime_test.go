package httptime_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"starling/nginx/httptime"
)

// What nginx 1.31.5 takes for a time.
func TestParse(t *testing.T) {
	const none = -1 << 62
	for text, want := range map[string]int64{
		"Mon, 02 Jan 2023 00:00:00 GMT":           1672617600,
		"Monday, 02-Jan-23 00:00:00 GMT":          1672617600,
		"Mon Jan  2 00:00:00 2023":                1672617600,
		"Mon Jan 12 00:00:00 2023":                1673481600,
		"Mon, 02 Jan 2023 00:00:00":               1672617600,
		"Mon, 02 Jan 2023 00:00:00 UTC":           1672617600,
		"Mon, 02 Jan 2023 00:00:00 GMT; length=3": 1672617600,
		"Tue,02 Jan 2023 00:00:00":                1672617600,
		"x,   02 Jux 2023 00:00:00":               1688256000,
		"Thu, 01 Jan 1970 00:00:00 GMT":           0,
		"Wed, 31 Dec 1969 23:59:59 GMT":           -1,
		"Fri, 31 Dec 9999 23:59:59 GMT":           253402300799,
		"Thursday, 01-Jan-70 00:00:00 GMT":        0,
		"Sunday, 06-Nov-69 00:00:00 GMT":          3150921600,
		"Thu, 29 Feb 2024 12:34:56 GMT":           1709210096,
		"Thu, 29 Feb 2023 12:34:56 GMT":           none,
		"Thu, 29 Feb 2100 12:34:56 GMT":           none,
		"Thu, 29 Feb 2000 12:34:56 GMT":           951827696,
		"Thu, 31 Apr 2023 12:34:56 GMT":           none,
		"Mon, 32 Jan 2023 00:00:00 GMT":           none,
		"Mon, 02 Jan 2023 24:00:00 GMT":           none,
		"Mon, 02 Jan 2023 00:60:00 GMT":           none,
		"Mon, 02 Jan 2023 00:00:60 GMT":           none,
		"Mon, 2 Jan 2023 00:00:00 GMT":            none,
		"02 Jan 2023 00:00:00 GMT":                none,
		"mon, 02 jan 2023 00:00:00 gmt":           none,
		"Mon, 02-Jan 2023 00:00:00 GMT":           none,
		"Mon, 02 Jan 2023 00:00:0":                none,
		"Mon Jan  2 00:00:00":                     none,
		"":                                        none,
		"x":                                       none,
		",                                ":       none,
		"                  ":                      none,
	} {
		got, ok := httptime.Parse([]byte(text))
		if want == none && ok || want != none && (!ok || got != want) {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
	}
}

// Every day of four centuries, in the form of net/http.
func TestParseDays(t *testing.T) {
	for at := time.Date(1799, 12, 31, 1, 2, 3, 0, time.UTC); at.Year() < 2200; at = at.AddDate(0, 0, 1) {
		text := at.Format(http.TimeFormat)
		if got, ok := httptime.Parse([]byte(text)); !ok || got != at.Unix() {
			t.Fatalf("%s: %d, %v, want %d", text, got, ok, at.Unix())
		}
	}
}

// Whatever net/http reads is read alike, but for what nginx reads otherwise: 69 as 2069, and JAn as June.
func FuzzParse(f *testing.F) {
	f.Add([]byte("Mon, 02 Jan 2023 00:00:00 GMT"))
	f.Add([]byte("Mon Jan  2 00:00:00 2023"))
	f.Add([]byte("Mon, 01 JAn 2023 00:00:00 GMT"))
	f.Add([]byte("Monday, 02-Jan-23 00:00:00 GMT+3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := httptime.Parse(text)
		want, err := http.ParseTime(string(text))
		if err != nil || !ok {
			return
		}
		want = want.UTC()
		alike := want.Year() != 1969 && bytes.Contains(text, []byte(want.Format("Jan")))
		if alike && got != want.Unix() {
			t.Errorf("%q: %d, want %d", text, got, want.Unix())
		}
	})
}
