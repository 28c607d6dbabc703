package conf_test

import "testing"

// TestTheEndThatFollows: a text that ends too early is told if nothing else is wrong, other problems of its form in any
// case.
func TestTheEndThatFollows(t *testing.T) {
	for text, want := range map[string]string{
		"http { server {":                      `unexpected end of file, expecting "}" in /x.conf:1`,
		"http { server { server { }\n}":        `"server" directive is not allowed here in /x.conf:1`,
		"http { server { }\nnonsense;\nserver": `unknown directive "nonsense" in /x.conf:2`,
		"nonsense;\nhttp { server { } }\n}":    "unknown directive \"nonsense\" in /x.conf:1\nunexpected \"}\" in /x.conf:3",
	} {
		if got := bind(t, text).Problems.Error(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
