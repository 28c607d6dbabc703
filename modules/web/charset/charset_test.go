package charset

import (
	"fmt"
	"testing"
)

// kept makes a value escape, as a response does with it.
var kept []byte

// TestNameAllocatesNothing: a charset that is no variable costs no allocation per response.
func TestNameAllocatesNothing(t *testing.T) {
	name := charsetName{given: true, text: []byte("utf-8")}
	if n := testing.AllocsPerRun(100, func() { kept = name.value(nil) }); n != 0 || string(kept) != "utf-8" {
		t.Errorf("%v allocations for %q", n, kept)
	}
}

// What nginx makes of UTF-8 that is invalid. A character that is not complete at the end is held back.
func TestInvalidUTF8(t *testing.T) {
	back := fromUTF8{'п': 'P', 'е': 'E'}
	for text, want := range map[string]string{
		"aп€x": "aP&#8364;x", "\xfe\xffx": "??x", "a\x80\xbfb": "a??b", "\xc0\xafb": "??b", "\xe0\x80\xafx": "?x",
		"\xed\xa0\x80x": "&#55296;x", "\xf4\x90\x80\x80x": "?x", "a😀b": "a&#128512;b", "\xf8\x88\x80": "???", "\xd0\xd0\xbf": "&#1040;?",
		"\xe2\x28\xa1": "??", "\xe2\x82\x28": "?", "a\x00b\xd0\x00c": "a\x00b?c", "\xd0\xbf\xbf": "P?", "\xf0\x8f\xbf\xbfx": "?x",
		"a\xd0": "a|1", "a\xe2\x82": "a|2", "a\xf0\x9f\x98": "a|3", "\xe2\x28": "|2", "": "",
	} {
		got, incomplete := back.convert(nil, []byte(text))
		if incomplete > 0 {
			got = fmt.Appendf(got, "|%d", incomplete)
		}
		if string(got) != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
