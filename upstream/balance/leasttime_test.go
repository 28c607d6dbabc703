package balance

import (
	"fmt"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/upstream"
)

// Its first word is read in any case, as nginx reads it.
func TestLeastTimeInCapitals(t *testing.T) {
	for word, want := range map[string]upstream.Timing{"HEADER": upstream.ByFirstByte, "Last_Byte": upstream.ByLastByte} {
		if b, err := leastTimeHTTP.New([]string{word}); err != nil || b.(leastTimeBalancer).by != want {
			t.Error(word, b, err)
		}
	}
	if _, err := leastTimeHTTP.New([]string{"connect"}); err == nil {
		t.Error("connect is a time of stream")
	}
}

func timedGroup(t *testing.T, method Method, args []string, weights ...int) (*upstream.Group, []*upstream.Server) {
	t.Helper()
	b, err := method.New(args)
	if err != nil {
		t.Fatal(err)
	}
	g := upstream.NewGroup("u", b)
	var all []*upstream.Server
	for i, w := range weights {
		set := upstream.NewSettings(fmt.Sprint(i), upstream.Unix(fmt.Sprint("/", i)))
		set.Weight = w
		s, err := g.Add(set, clock.Reading{MonoMS: 1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return g, all
}

// pickAll picks n times without giving back and names the servers.
func pickAll(t *testing.T, g *upstream.Group, n int, at clock.Reading) (names string) {
	t.Helper()
	for range n {
		a := new(upstream.Attempt)
		g.Begin(a)
		s, err := a.Pick(at)
		if err != nil {
			t.Fatal(err)
		}
		names += s.Name
	}
	return names
}

func TestLeastTime(t *testing.T) {
	at := clock.Reading{MonoMS: 1000}
	for _, c := range []struct {
		name    string
		times   []time.Duration // of the last byte
		weights []int
		want    string
	}{
		{"none yet: by turns", []time.Duration{0, 0}, []int{1, 1}, "0110"},
		{"close times are equal", []time.Duration{21 * time.Millisecond, 38 * time.Millisecond}, []int{1, 1}, "0110"},
		{"the faster until its connections make up for it", []time.Duration{10 * time.Millisecond, 70 * time.Millisecond}, []int{1, 1}, "00001"},
		{"a weight is so many times as good", []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}, []int{1, 3}, "111011"},
		{"beyond five seconds only connections count", []time.Duration{6 * time.Second, 60 * time.Second}, []int{1, 1}, "0110"},
	} {
		g, all := timedGroup(t, leastTimeHTTP, []string{"last_byte"}, c.weights...)
		for i, d := range c.times {
			if d > 0 {
				all[i].Stats.Measure(upstream.Times{Connect: -1, Response: d})
			}
		}
		if got := pickAll(t, g, len(c.want), at); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLeastTimeByMoment(t *testing.T) {
	for _, c := range []struct {
		method Method
		word   string
		want   string
	}{{leastTimeHTTP, "header", "0"}, {leastTimeHTTP, "last_byte", "1"}, {leastTimeStream, "connect", "1"},
		{leastTimeStream, "first_byte", "0"}, {leastTimeStream, "last_byte", "1"}} {
		g, all := timedGroup(t, c.method, []string{c.word}, 1, 1)
		all[0].Stats.Measure(upstream.Times{Connect: 100 * time.Millisecond, Header: time.Millisecond, Response: time.Second})
		all[1].Stats.Measure(upstream.Times{Connect: -1, Header: 100 * time.Millisecond, Response: 100 * time.Millisecond})
		if got := pickAll(t, g, 1, clock.Reading{MonoMS: 1000}); got != c.want {
			t.Errorf("%s: %s, want %s", c.word, got, c.want)
		}
	}
}

// TestInflight has a server that does not answer: with inflight its time grows while it is waited for.
func TestInflight(t *testing.T) {
	g, _ := timedGroup(t, leastTimeStream, []string{"first_byte", "inflight"}, 1, 1)
	var slow, fast upstream.Attempt
	start := clock.Reading{MonoMS: 1000}
	for _, a := range []*upstream.Attempt{&slow, &fast} {
		g.Begin(a)
		if _, err := a.Pick(start); err != nil {
			t.Fatal(err)
		}
	}
	answered := start.Add(10 * time.Millisecond)
	fast.Reached(upstream.ByFirstByte, answered)
	if got := pickAll(t, g, 3, start.Add(2*time.Second)); got != "111" {
		t.Errorf("picked %s beside a server that is waited for", got)
	}
	slow.Free(upstream.Failure, start.Add(3*time.Second))
	fast.Free(upstream.Success, start.Add(3*time.Second))
}

func TestASlowServerGetsAnotherChance(t *testing.T) {
	g, all := timedGroup(t, leastTimeHTTP, []string{"last_byte"}, 1, 1)
	start := clock.Reading{MonoMS: 20000}
	pickAndFree(t, g, 2, start)
	all[0].Stats.Measure(upstream.Times{Connect: -1, Response: 100 * time.Millisecond})
	all[1].Stats.Measure(upstream.Times{Connect: -1, Response: time.Second})
	if got := pickAndFree(t, g, 3, start.Add(time.Second)); got != "000" {
		t.Errorf("at first %s", got)
	}
	got := ""
	for second := 5; second <= 60 && got != "1"; second += 5 { // the first is asked often, the time of the second halves
		got = pickAndFree(t, g, 1, start.Add(time.Duration(second)*time.Second))
	}
	if got != "1" {
		t.Error("the slow one was never asked again")
	}
}

func pickAndFree(t *testing.T, g *upstream.Group, n int, at clock.Reading) (names string) {
	t.Helper()
	var a upstream.Attempt
	for range n {
		g.Begin(&a)
		s, err := a.Pick(at)
		if err != nil {
			t.Fatal(err)
		}
		names += s.Name
		a.Free(upstream.Success, at)
	}
	return names
}
