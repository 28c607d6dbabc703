package regex

import (
	"testing"
)

// TestBytes: bytes above 0x7f in a pattern are bytes, not characters.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		caseless      bool
		want          bool
	}{
		{`^\x80$`, "\x80", false, true},
		{`^\xE3\x00`, "\xe3\x00", false, true},
		{`^\x80$`, "\u0080", false, false},
		{"^\x80.$", "\x80\xff", false, true},
		{`^[\x80-\xff]+$`, "\x80\x90\xff", false, true},
		{`^\\x80$`, `\x80`, false, true},
		{`ok\x90`, "OK\x90", true, true},
		{`^\x24$`, "$", false, true},
		{`^(a|\xff)$`, "\xff", false, true},
	} {
		x, err := CompileBytes(c.pattern, c.caseless)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got, err := x.Match([]byte(c.text), nil); got != c.want || err != nil {
			t.Errorf("%q matches %q: %v %v", c.pattern, c.text, got, err)
		}
	}
	if _, err := CompileBytes(`(\x80`, false); err == nil {
		t.Error("a pattern with an error")
	}
}
