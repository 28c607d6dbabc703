package similar

import "testing"

func TestOf(t *testing.T) {
	known := []string{"demo", "check", "proxy_pass", "listen", "if"}
	for word, want := range map[string]string{
		"dmeo": "demo", "dem": "demo", "demos": "demo", "DEMO": "demo", "chek": "check", "prxy_pass": "proxy_pass",
		"proxypass": "proxy_pass", "listne": "listen", "x": "", "ls": "", "upstream": "", "": "", "proxy_cache": "",
	} {
		if got := Of(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
