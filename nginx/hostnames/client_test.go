package hostnames

import "testing"

// TestNamesOfClients: what is compared with server names, and what nginx does not look for.
func TestNamesOfClients(t *testing.T) {
	for name, want := range map[string]string{
		"WWW.Example.org.":  "www.example.org",
		"a_b~!$&'()*+,;=%-": "a_b~!$&'()*+,;=%-",
		"a.org:443":         "a.org",
		"a.org.:":           "a.org",
		"[2001:DB8::1]:443": "[2001:db8::1]",
		"[a.]":              "[a.]",
		"":                  "none",
		".":                 "none",
		":443":              "none",
		"a..org":            "none",
		"a.org:x":           "none",
		"a.org:65536":       "none",
		"a/b":               "none",
		"a@b":               "none",
		"[::1":              "none",
		"[::1]x":            "none",
		"[::%1]":            "none",
		"\xc3\xa9":          "none",
	} {
		host, ok := Clean(name)
		got := string(host)
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}
