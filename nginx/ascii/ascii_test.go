package ascii

import "testing"

func TestOnlyTheCaseOfLettersIsPassedOver(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true},
		{"Content-Type", "content-TYPE", true},
		{"azAZ", "AZaz", true},
		{"ab", "abc", false},
		{"ab", "ac", false},
		{"[", "{", false}, // 0x20 apart, like '@' and '`'
		{"@", "`", false},
		{"-", "\r", false},
		{"\xc1", "\xe1", false},
		{"\u212a", "k", false}, // the Kelvin sign, which Unicode folds onto k
		{"\u017f", "s", false},
		{"É", "é", false},
	} {
		if got := Equal([]byte(c.a), []byte(c.b)); got != c.same {
			t.Errorf("Equal(%q, %q) is %v", c.a, c.b, got)
		}
		if got := EqualString([]byte(c.a), c.b); got != c.same {
			t.Errorf("EqualString(%q, %q) is %v", c.a, c.b, got)
		}
		if got := EqualString([]byte(c.b), c.a); got != c.same {
			t.Errorf("EqualString(%q, %q) is %v", c.b, c.a, got)
		}
	}
}

func TestAppendLower(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	lower := AppendLower([]byte("X"), all)
	if len(lower) != 257 || lower[0] != 'X' {
		t.Fatalf("%q", lower)
	}
	for i, c := range lower[1:] {
		want := byte(i)
		if want >= 'A' && want <= 'Z' {
			want += 'a' - 'A'
		}
		if c != want {
			t.Errorf("%q becomes %q", byte(i), c)
		}
	}
	if AppendLower(all[:0], all); string(all) != string(lower[1:]) {
		t.Error("lowered in place it is another text")
	}
}
