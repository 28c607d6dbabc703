package turns

import (
	"strings"
	"testing"
)

func TestWordsAreReadAsTheyWereWritten(t *testing.T) {
	for _, w := range []Word{
		{},
		{Verdict: Healthy, Passes: 7, Number: 12, TookMS: 3, AtMS: 1_800_000_000_000, NextMS: 5000},
		{Verdict: Unhealthy, Fails: 1<<32 - 1, Failures: 4, Number: 9, Failed: 8, Doubts: true, Reason: "checking status code: status 503"},
	} {
		got, err := ParseWord(w.Append(nil))
		if err != nil || got != w {
			t.Errorf("%+v: got %+v, %v", w, got, err)
		}
	}
	p := Presence{"9c07a1d33e5bd4c1", "proxy-1"}
	if got, err := ParsePresence(p.Append(nil)); err != nil || got != p {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestTextsAreMadeToBeShown: a reason comes from a server, a name from a machine.
func TestTextsAreMadeToBeShown(t *testing.T) {
	w := Word{Reason: "a\r\nb\xff" + strings.Repeat("é", 300)}
	got, err := ParseWord(w.Append(nil))
	if err != nil || !strings.HasPrefix(got.Reason, "a  b?é") || len(got.Reason) > maxReasonBytes {
		t.Errorf("%q, %v", got.Reason, err)
	}
}

func TestMalformedWordsAreRejected(t *testing.T) {
	whole := (&Word{Verdict: Healthy, Passes: 1}).Append(nil)
	for name, b := range map[string][]byte{
		"nothing":           nil,
		"another format":    append([]byte{9}, whole[1:]...),
		"another verdict":   append([]byte{1, 3}, whole[2:]...),
		"an unknown bit":    append([]byte{1, 9}, whole[2:]...),
		"cut":               whole[:len(whole)-1],
		"a control byte":    append(whole, '\n'),
		"a long reason":     append(whole, strings.Repeat("x", maxReasonBytes+1)...),
		"too large numbers": append([]byte{1, 1}, strings.Repeat("\xff\xff\xff\xff\xff\xff\xff\x7f", 8)...),
	} {
		if w, err := ParseWord(b); err == nil {
			t.Errorf("%s: %+v", name, w)
		}
	}
	for _, b := range []string{"", "\x02", "\x02\x05ab", "\x01\x00", "\x02\x01\n"} {
		if p, err := ParsePresence([]byte(b)); err == nil {
			t.Errorf("%q: %+v", b, p)
		}
	}
}

func FuzzWord(f *testing.F) {
	f.Add((&Word{Verdict: Unhealthy, Fails: 2, Reason: "no"}).Append(nil))
	f.Add(Presence{"node", "host"}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := ParseWord(b); err == nil {
			if again, err := ParseWord(w.Append(nil)); err != nil || again != w {
				t.Errorf("%+v became %+v, %v", w, again, err)
			}
		}
		if p, err := ParsePresence(b); err == nil {
			if again, err := ParsePresence(p.Append(nil)); err != nil || again != p {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}
