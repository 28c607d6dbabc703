package logescape

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		style       Style
		value, want string
	}{
		{Default, `a b`, `a b`},
		{Default, "a\"b\\c\n\x7f\xff", `a\x22b\x5Cc\x0A\x7F\xFF`},
		{JSON, "a\"b\\c\n\r\t\b\f\x01\x1f", `a\"b\\c\n\r\t\b\f\u0001\u001F`},
		{JSON, "é\xff/", "é\uFFFD/"},
		{None, "a\"b\n", "a\"b\n"},
	} {
		if got := string(c.style.Append(nil, []byte(c.value))); got != c.want {
			t.Errorf("%d: %q gives %q, want %q", c.style, c.value, got, c.want)
		}
		if need := c.style.Needed([]byte(c.value)); !need && c.value != c.want {
			t.Errorf("%d: %q is said to need no escape", c.style, c.value)
		}
	}
	if Default.Missing() != "-" || JSON.Missing() != "" || None.Missing() != "" {
		t.Error("wrong words for missing values")
	}
}

func TestJSONIsAlwaysReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		text := append(append([]byte{'"'}, JSON.Append(nil, value)...), '"')
		if !json.Valid(text) {
			t.Fatalf("%q", text)
		}
	})
}
