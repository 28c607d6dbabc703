package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// steady are the times of so many requests a second, for so long.
func steady(perSecond int, lasts time.Duration) (sent []time.Duration) {
	for at := time.Duration(0); at < lasts; at += time.Second / time.Duration(perSecond) {
		sent = append(sent, at)
	}
	return sent
}

func count(admitted []bool) (n int) {
	for _, a := range admitted {
		if a {
			n++
		}
	}
	return n
}

// TestRules floods each rule with 40 requests a second for 3 s; the limit is 10 a second.
func TestRules(t *testing.T) {
	half := time.Unix(100, 500e6) // between two seconds of the calendar
	for _, c := range []struct {
		name string
		rule rule
		want int
	}{
		{"a bucket that holds 5", bucket(10, 5), 5 + 29}, // 2.975 s drain 29.75
		{"windows from the first request", windows(10, false), 3 * 10},
		{"windows of the calendar, of which there are four", windows(10, true), 4 * 10},
		{"a rate that counts rejected requests", sliding(10, true), 10},
	} {
		if got := count(c.rule(half, steady(40, 3*time.Second))); got != c.want {
			t.Errorf("%s: %d admitted, want %d", c.name, got, c.want)
		}
	}
	got := count(sliding(100, false)(half, steady(400, 10*time.Second)))
	if got < 970 || got > 1030 {
		t.Errorf("a rate of admitted requests: %d admitted in 10 s, want about 1,000", got)
	}
}

func TestTheWorstSecondSlides(t *testing.T) {
	ms := func(sent, done int) shot {
		return shot{time.Duration(sent) * time.Millisecond, time.Duration(done) * time.Millisecond, true, false}
	}
	rejected, failed := ms(950, 951), ms(960, 961)
	rejected.admitted, failed.failed = false, true
	shots := []shot{
		ms(1900, 1901), ms(0, 1), ms(900, 901), ms(1000, 1001), rejected, failed,
		ms(1850, 1950), // sent in the second from 900, but answered after it
	}
	if got := worstSecond(shots); got != 3 {
		t.Errorf("%d admitted in the worst second, want 3: those of 900, 1000 and 1900 or 1850 ms", got)
	}
}

func TestTheNextSecondAfterACrash(t *testing.T) {
	shots := []shot{
		{sent: 2999, admitted: true}, {sent: 3000, admitted: true}, {sent: 3500}, {sent: 3600, failed: true},
		{sent: 4000, admitted: true},
	}
	if admitted, failed := passed(shots, 3000, 4000); admitted != 1 || failed != 1 {
		t.Errorf("%d admitted and %d failed, want 1 and 1", admitted, failed)
	}
}

// TestServicesAreAsked reads what is asked, and the verdicts of answers.
func TestServicesAreAsked(t *testing.T) {
	varint := func(to []byte, num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(to, num, protowire.VarintType), v)
	}
	nested := func(num protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), value)
	}
	asked, err := fields(gubernatorLimit{behavior: 2, leaky: true, hits: 1, durationMS: 1000}.asker().request("client"))
	if err != nil {
		t.Fatal(err)
	}
	limit, err := fields(asked[1].bytes)
	if err != nil {
		t.Fatal(err)
	}
	if string(limit[2].bytes) != "client" || limit[4].number != limitRate || limit[6].number != 1 || limit[7].number != 2 {
		t.Errorf("asked %v", limit)
	}
	for _, c := range []struct {
		name           string
		kind           callAsker
		answer         []byte
		admits, broken bool
	}{
		{"under the limit", gubernatorLimit{}.asker(), nested(1, varint(nil, 2, limitRate)), true, false},
		{"over the limit", gubernatorLimit{}.asker(), nested(1, varint(nil, 1, 1)), false, false},
		{"an error", gubernatorLimit{}.asker(), nested(1, nested(5, []byte("no owner"))), false, true},
		{"no response", gubernatorLimit{}.asker(), nil, false, true},
		{"OK", ratelimitAsker, varint(nil, 1, 1), true, false},
		{"OVER_LIMIT", ratelimitAsker, varint(nil, 1, 2), false, false},
		{"UNKNOWN", ratelimitAsker, nil, false, true},
		{"no message", ratelimitAsker, []byte{0xff}, false, true},
	} {
		admits, err := c.kind.verdict(c.answer)
		if (err != nil) != c.broken || err == nil && admits != c.admits {
			t.Errorf("%s: %t, %v", c.name, admits, err)
		}
	}
}
