package admin

import (
	"strings"
	"testing"
)

func TestKeyText(t *testing.T) {
	for key, want := range map[string]string{
		"10.0.0.1":         "10.0.0.1",
		"abcd":             "abcd", // four letters are text
		"\x0a\x00\x00\x01": "10.0.0.1",
		"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01": "2001:db8::1",
		"\x00\xff\x10":            "0x00ff10",
		"Grüße":                   "Grüße",
		"a\nb":                    "0x610a62",
		strings.Repeat("x", 1000): strings.Repeat("x", 256),
	} {
		if got := KeyText([]byte(key)); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}
