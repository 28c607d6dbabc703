package units_test

import (
	"fmt"
	"testing"

	"starling/nginx/units"
)

// table is text and wanted value; "invalid" where nginx refuses the text.
type table [][2]string

func check[T any](t *testing.T, parse func(string) (T, error), rows table) {
	t.Helper()
	for _, row := range rows {
		v, err := parse(row[0])
		got := fmt.Sprint(v)
		if err != nil {
			got = "invalid"
		}
		if got != row[1] {
			t.Errorf("%q: got %s, want %s", row[0], got, row[1])
		}
	}
}

func TestSize(t *testing.T) {
	check(t, units.Size, table{
		{"0", "0"}, {"512", "512"}, {"4k", "4096"}, {"4K", "4096"}, {"10m", "10485760"}, {"1M", "1048576"},
		{"1g", "invalid"}, {"", "invalid"}, {"k", "invalid"}, {"-1", "invalid"},
		{"1 k", "invalid"}, {"1kb", "invalid"}, {"1.5m", "invalid"},
		{"9223372036854775807", "9223372036854775807"}, {"9223372036854775808", "invalid"}, {"9223372036854775807k", "invalid"},
	})
	check(t, units.Offset, table{{"1g", "1073741824"}, {"2G", "2147483648"}, {"3m", "3145728"}, {"g", "invalid"}, {"9223372036854775807g", "invalid"}})
}

func TestTime(t *testing.T) {
	check(t, units.Time, table{
		{"0", "0s"}, {"5", "5s"}, {"10ms", "10ms"}, {"1s500ms", "1.5s"}, {"1h30m", "1h30m0s"}, {"1h 30m", "1h30m0s"}, {"1d", "24h0m0s"},
		{"2w", "336h0m0s"}, {"1h30", "1h0m30s"}, {"1h 30", "1h0m30s"}, {"1m30ms", "1m0.03s"},
		{"20 ", "20s"}, {"1 2", "3s"},
		{"1M", "invalid"}, {"1y", "invalid"}, {"", "invalid"}, {"s", "invalid"}, {"30m1h", "invalid"}, {"1s1s", "invalid"},
		{"1ms1s", "invalid"},
		{"-1", "invalid"}, {"1x", "invalid"}, {"1 2 3", "invalid"}, {"99999999999999999999", "invalid"}, {"9223372036854775807", "invalid"},
	})
	check(t, units.Seconds, table{
		{"5", "5s"}, {"1M", "720h0m0s"}, {"1y", "8760h0m0s"}, {"1y2M3w4d5h6m7s", "10805h6m7s"}, {"30d", "720h0m0s"},
		{"10ms", "invalid"}, {"1s500ms", "invalid"}, {"1M1y", "invalid"}, {"", "invalid"}, {"400y", "invalid"},
	})
}

func TestRate(t *testing.T) {
	check(t, units.Rate, table{
		{"1r/s", "1000"}, {"100r/s", "100000"}, {"1r/m", "16"}, {"7r/m", "116"}, {"60r/m", "1000"}, {"5", "5000"},
		{"0r/s", "invalid"}, {"", "invalid"}, {"r/s", "invalid"},
		{"1.5r/s", "invalid"}, {"1r/h", "invalid"}, {"-1r/s", "invalid"}, {"9223372036854775807r/s", "invalid"},
	})
}

func TestAppendSeconds(t *testing.T) {
	for ms, want := range map[int64]string{0: "0.000", 7: "0.007", 1234: "1.234", 60010: "60.010", -1: "-"} {
		if got := string(units.AppendSeconds(nil, ms)); got != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
}
