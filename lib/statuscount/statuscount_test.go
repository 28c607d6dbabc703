package statuscount

import (
	"encoding/json"
	"sync"
	"testing"
)

func shown(t *testing.T, counters ...*Counter) string {
	t.Helper()
	text, err := json.Marshal(Sum(counters...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const none = `{"1xx":0,"2xx":0,"3xx":0,"4xx":0,"5xx":0,"codes":{},"total":0}`

func TestCounts(t *testing.T) {
	var one, two Counter
	for _, status := range []int{101, 200, 200, 302, 499, 599} {
		one.Count(status)
	}
	for _, status := range []int{200, 100, 503, 0, 99, 600, 999, -1} {
		two.Count(status)
	}
	for _, c := range []struct {
		counters []*Counter
		want     string
	}{
		{nil, none},
		{[]*Counter{&one}, `{"1xx":1,"2xx":2,"3xx":1,"4xx":1,"5xx":1,"codes":{"101":1,"200":2,"302":1,"499":1,"599":1},"total":6}`},
		{[]*Counter{&one, &two}, `{"1xx":2,"2xx":3,"3xx":1,"4xx":1,"5xx":2,"codes":{"100":1,"101":1,"200":3,"302":1,"499":1,"503":1,"599":1},"total":9}`},
	} {
		if got := shown(t, c.counters...); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	for status, want := range map[int]uint64{200: 2, 201: 0, 500: 0, 99: 0, 600: 0} {
		if got := one.Code(status); got != want {
			t.Errorf("code %d: %d", status, got)
		}
	}
	one.Reset()
	if got := shown(t, &one); got != none {
		t.Errorf("after a reset: %s", got)
	}
}

func TestEveryCodeHasItsOwnCount(t *testing.T) {
	var c Counter
	for status := first; status < end; status++ {
		c.Count(status)
	}
	for status := first; status < end; status++ {
		if got := c.Code(status); got != 1 {
			t.Errorf("code %d: %d", status, got)
		}
	}
}

func TestConcurrentCounts(t *testing.T) {
	var c Counter
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for status := 200; status < 600; status++ {
				c.Count(status)
			}
		})
	}
	wait.Wait()
	if got := Sum(&c); got.Total != 8*400 || got.Codes["404"] != 8 || got.Class5xx != 800 {
		t.Errorf("%+v", got)
	}
}
