package descrypt

import "testing"

// made holds hashes made by the C library's crypt(3).
var made = []struct{ password, hash string }{
	{"password", "sa3tHJ3/KuYvI"},
	{"abc", "abFZSxKKdq5s6"},
	{"longpasswordcut", "./x0kTlw5iEAs"},
	{"longpass", "./x0kTlw5iEAs"}, // only eight characters count
	{"x", "zZ7ZiWSxfqAtU"},
	{"", "aaQSqAReePlq6"},
	{"p\xc3\xa4ss", "q9to5MEqwAaXg"},
}

func TestCrypt(t *testing.T) {
	for _, c := range made {
		if got := Crypt(c.password, c.hash); got != c.hash {
			t.Errorf("%q: got %s, want %s", c.password, got, c.hash)
		}
		if !Matches(c.hash, c.password) || Matches(c.hash, "not "+c.password) {
			t.Errorf("%q does not match %s alone", c.password, c.hash)
		}
	}
}

func TestWhatIsNoHashMatchesNothing(t *testing.T) {
	for _, text := range []string{"", "sa3tHJ3/KuYv", "sa3tHJ3/KuYvIx", "sa3tHJ3:KuYvI", "\xffa3tHJ3/KuYvI"} {
		if IsHash(text) || Matches(text, "password") {
			t.Errorf("%q is taken for a hash", text)
		}
	}
}
