package cache_test

import (
	"strings"
	"testing"

	"starling/web/cache"
	"starling/web/h1"
)

// head makes header fields of lines with | between.
func head(text string) (all h1.Headers, seen h1.KnownSet) {
	for line := range strings.SplitSeq(text, "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			id := h1.Identify([]byte(name))
			all, seen = append(all, h1.Header{Name: []byte(name), Value: []byte(value), ID: id}), seen.With(id)
		}
	}
	return all, seen
}

const (
	now    = 1_000_000_000 // 2001-09-09T01:46:40Z
	past   = "Thu, 01 Jan 1970 00:00:01 GMT"
	future = "Thu, 31 Dec 2037 23:55:55 GMT"
	year37 = 2145916555
	never  = -1 // refused
	max64  = 1<<63 - 1
)

// What the headers of a response say about storing it, as nginx reads them.
func TestFreshness(t *testing.T) {
	for _, test := range []struct {
		headers                string
		valid, updating, error int64
	}{
		{"", 0, 0, 0}, {"Content-Type: text/html", 0, 0, 0},
		{"Cache-Control: max-age=60", now + 60, 0, 0}, {"cache-control: public, MAX-AGE=60", now + 60, 0, 0},
		{"Cache-Control: max-age=60, s-maxage=5", now + 5, 0, 0}, {"Cache-Control: s-maxage=5, max-age=60", now + 5, 0, 0},
		{"Cache-Control: max-age=0", never, 0, 0}, {"Cache-Control: max-age=1x", never, 0, 0}, {"Cache-Control: max-age=", never, 0, 0},
		{"Cache-Control: max-age=9223372036854775808", max64, 0, 0}, {"Cache-Control: max-age=9223372036854775807", max64, 0, 0},
		{"Cache-Control: no-cache", never, 0, 0}, {"Cache-Control: no-store", never, 0, 0}, {"Cache-Control: private", never, 0, 0},
		{"Cache-Control: max-age=60, Private", never, 0, 0}, {"Cache-Control: max-age=60|Cache-Control: no-cache", never, 0, 0},
		{"Cache-Control: max-age=60, stale-while-revalidate=10", now + 60, 10, 10},
		{"Cache-Control: max-age=60, stale-if-error=20", now + 60, 0, 20},
		{"Cache-Control: max-age=60, stale-while-revalidate=10, stale-if-error=20", now + 60, 10, 20},
		{"Cache-Control: max-age=60, stale-if-error=x", never, 0, 0},
		{"Expires: " + future, year37, 0, 0}, {"Expires: " + past, never, 0, 0}, {"Expires: 0", never, 0, 0},
		{"Cache-Control: max-age=60|Expires: " + past, now + 60, 0, 0}, {"Expires: " + past + "|Cache-Control: max-age=60", now + 60, 0, 0},
		{"Expires: " + future + "|Cache-Control: max-age=60", now + 60, 0, 0}, {"Expires: " + future + "|Expires: " + past, year37, 0, 0},
		{"Expires: " + future + "|Cache-Control: no-cache", never, 0, 0},
		{"X-Accel-Expires: 5", now + 5, 0, 0}, {"X-Accel-Expires: @5", 5, 0, 0}, {"X-Accel-Expires: 0", never, 0, 0},
		{"X-Accel-Expires: x", 0, 0, 0}, {"X-Accel-Expires: ", 0, 0, 0}, {"X-Accel-Expires: 5|X-Accel-Expires: 0", now + 5, 0, 0},
		{"X-Accel-Expires: 5|Cache-Control: no-cache, stale-if-error=7|Expires: " + past, now + 5, 0, 7},
		{"Cache-Control: no-cache|Expires: " + past + "|X-Accel-Expires: 5", now + 5, 0, 0},
		{"X-Accel-Expires: 5|Set-Cookie: a=b", never, 0, 0}, {"Cache-Control: max-age=60|Vary: *", never, 0, 0},
		{"Cache-Control: max-age=60|Vary: " + strings.Repeat("x", 128), now + 60, 0, 0}, {"Cache-Control: max-age=60|Vary: " + strings.Repeat("x", 129), never, 0, 0},
		{"Vary: " + strings.Repeat("x", 64) + "|Vary: " + strings.Repeat("x", 64), never, 0, 0},
	} {
		all, seen := head(test.headers)
		got := cache.Read(all, seen, cache.Ignored{}, now)
		switch {
		case got.Refused != (test.valid == never):
			t.Errorf("%s: refused %v", test.headers, got.Refused)
		case !got.Refused && got.Freshness != cache.Freshness{Valid: test.valid, Updating: test.updating, Error: test.error}:
			t.Errorf("%s: %+v", test.headers, got.Freshness)
		}
	}
}

// Ignored headers say nothing.
func TestIgnoredHeaders(t *testing.T) {
	const all = "X-Accel-Expires: 0|Expires: " + past + "|Cache-Control: no-store|Set-Cookie: a=b|Vary: *"
	names := []string{"X-Accel-Expires", "expires", "Cache-Control", "Set-Cookie", "Vary"}
	headers, seen := head(all)
	for i := range 1 << len(names) {
		var ignored cache.Ignored
		for j, name := range names {
			if i&(1<<j) != 0 {
				ignored.Add(name)
			}
		}
		if got := cache.Read(headers, seen, ignored, now); got.Refused != (i != 1<<len(names)-1) {
			t.Errorf("%+v: refused %v", ignored, got.Refused)
		}
	}
	headers, seen = head("Vary: A|X: y|Vary: B, C")
	if got := cache.Read(headers, seen, cache.Ignored{}, now); string(got.Vary) != "A, B, C" {
		t.Errorf("Vary %s", got.Vary)
	}
}

// The first entry for a status, or for any, counts.
func TestValid(t *testing.T) {
	list := []cache.ValidFor{{200, 1}, {404, 2}, {0, 3}, {302, 4}}
	for status, want := range map[int]int64{200: 1, 404: 2, 302: 3, 500: 3} {
		if got := cache.LookUp(list, status); got != want {
			t.Errorf("%d: %d, want %d", status, got, want)
		}
	}
	if got := cache.LookUp(list[:2], 302); got != 0 {
		t.Error(got)
	}
}

// Requests have the same variant if the headers in Vary have the same values; spaces and empty elements do not count in
// lists.
func TestVariants(t *testing.T) {
	for _, test := range []struct {
		vary, a, b string
		same       bool
	}{
		{"Accept-Encoding", "Accept-Encoding: gzip,  br", "accept-encoding: ,gzip , br", true},
		{"Accept-Encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: gzip|Accept-Encoding: br", true},
		{"Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", false}, {"Accept-Encoding", "Accept-Encoding: gzip", "", false},
		{"X", "X: a,b", "X: a, b", false}, {"X", "X: a|X: b", "X: a,b", true}, {"X", "Y: a", "Y: b", true}, {"X, Y", "Y: a", "Y: b", false},
		{",, x ,", "X: a", "X: b", false},
	} {
		if got := cache.SameVariant(test.vary, first(head(test.a)), first(head(test.b))); got != test.same {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func first(all h1.Headers, _ h1.KnownSet) h1.Headers { return all }
