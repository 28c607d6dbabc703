package turns

import (
	"reflect"
	"strings"
	"testing"
)

func cardOf(id byte, terms ...string) Card {
	c := Card{Presence: Presence{"node", "host"}, ID: ID{id}, At: "nginx.conf:1"}
	for _, t := range terms {
		name, value, _ := strings.Cut(t, "=")
		c.Terms = append(c.Terms, Term{name, value})
	}
	return c
}

func TestCardsAreReadAsTheyWereWritten(t *testing.T) {
	for _, c := range []Card{{}, cardOf(1), cardOf(2, "interval=5s", "match={ status 200; }")} {
		if got, err := ParseCard(c.Append(nil, 1024)); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
}

// TestACardHasRoom, however long its values are; those that differ still differ.
func TestACardHasRoom(t *testing.T) {
	long := Card{
		Presence: Presence{strings.Repeat("n", 99), strings.Repeat("h", 999)}, At: "/a" + strings.Repeat("/é", 500) + "/nginx.conf:7",
	}
	for range 20 {
		long.Terms = append(long.Terms, Term{strings.Repeat("t", 50), strings.Repeat("é", 500)})
	}
	other := long
	other.Terms = append([]Term{{long.Terms[0].Name, long.Terms[0].Value + "x"}}, long.Terms[1:]...)
	b := long.Append(nil, 1024)
	got, err := ParseCard(b)
	if err != nil || len(b) > 1024+256 || !strings.HasSuffix(got.At, "/nginx.conf:7") || len(got.Terms) != maxTerms {
		t.Errorf("%d bytes: %+v, %v", len(b), got, err)
	}
	if again, err := ParseCard(other.Append(nil, 1024)); err != nil || again.Terms[0] == got.Terms[0] {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestMalformedCardsAreRejected(t *testing.T) {
	c := cardOf(1, "a=b")
	whole := c.Append(nil, 1024)
	many := c
	many.Terms = nil
	text := many.Append(nil, 1024)
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"another format":  append([]byte{1}, whole[1:]...),
		"cut":             whole[:len(whole)-1],
		"half a term":     append(whole, 1, 'x'),
		"a control byte":  append(whole, 1, '\n', 1, 'x'),
		"a long value":    append(append(whole, 1, 'x', 129, 1), strings.Repeat("x", 129)...),
		"too many terms":  append(text, strings.Repeat("\x01a\x01b", maxTerms+1)...),
		"an endless text": append(text, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		if c, err := ParseCard(b); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestWhatDiffersIsNamed: each check that the other node lacks, beside the one most like it.
func TestWhatDiffersIsNamed(t *testing.T) {
	long := strings.Repeat("x", 500)
	for name, test := range map[string]struct {
		ours, theirs []Card
		want         string // the terms of each difference; "none" if the other node has no such check
	}{
		"nothing":     {[]Card{cardOf(1, "uri=/a")}, []Card{cardOf(1, "uri=/a")}, ""},
		"a value":     {[]Card{cardOf(1, "uri=/a", "fails=1")}, []Card{cardOf(2, "uri=/b", "fails=1")}, "uri is /a on this node and /b there"},
		"two":         {[]Card{cardOf(1, "uri=/a", "fails=1")}, []Card{cardOf(2, "uri=/b", "fails=2")}, "uri is /a on this node and /b there, fails is 1 on this node and 2 there"},
		"one lacks":   {[]Card{cardOf(1, "port=81")}, []Card{cardOf(2, "udp=x")}, "port is 81 on this node and not set there, udp is not set on this node and x there"},
		"no such":     {[]Card{cardOf(1), cardOf(2)}, []Card{cardOf(2)}, "none"},
		"one more":    {[]Card{cardOf(1)}, []Card{cardOf(1), cardOf(2)}, ""},
		"the nearest": {[]Card{cardOf(1, "a=1", "b=1")}, []Card{cardOf(2, "a=2", "b=2"), cardOf(3, "a=1", "b=3")}, "b is 1 on this node and 3 there"},
		"long": {[]Card{cardOf(1, "match="+long, "a=1")}, []Card{cardOf(2, "match="+cut(long, 32), "a=2")},
			"a is 1 on this node and 2 there"},
	} {
		var got []string
		for _, d := range Compare(test.ours, test.theirs) {
			if d.Theirs == nil {
				d.Terms = "none"
			}
			got = append(got, d.Terms)
		}
		if text := strings.Join(got, "; "); text != test.want {
			t.Errorf("%s: got %q, want %q", name, text, test.want)
		}
	}
}

func FuzzCard(f *testing.F) {
	c := cardOf(1, "interval=5s", "uri=/")
	f.Add(c.Append(nil, 1024))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCard(b); err == nil {
			if again, err := ParseCard(c.Append(nil, 1<<20)); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%+v became %+v, %v", c, again, err)
			}
		}
	})
}
