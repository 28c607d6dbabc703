package sticky_test

import (
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/upstream/sticky"
	"starling/zone/kinds"
)

var start = clock.Reading{WallMS: 1_700_000_000_000, MonoMS: 1 << 32}

func TestLearn(t *testing.T) {
	learn := &sticky.Learn{Zone: "s", Sessions: kinds.NewSession(kinds.SessionConfig{Name: "s", Bytes: 1 << 20, TimeoutMS: 60_000})}
	for i, c := range []struct {
		created, looked, server string // what an answer taught
		lookup, want            string // what a client then finds
	}{
		{"", "", "s1", "x", ""},
		{"", "unknown", "s1", "unknown", ""}, // a client's id alone makes no session
		{"one", "", "s1", "one", "s1"},
		{"", "one", "s2", "one", "s2"},    // the server was another one: moved
		{"two", "one", "s3", "two", "s3"}, // a new id is learned
		{"", "", "s3", "one", "s2"},       // the old one stays as it is
		{"one", "two", "s1", "two", "s3"}, // created wins over looked
		{"", "", "s1", "", ""},            // no id, no session
		{strings.Repeat("long", 5000), "", "s9", strings.Repeat("long", 5000), "s9"},
	} {
		if _, err := learn.Answered([]byte(c.created), []byte(c.looked), []byte(c.server), start); err != nil {
			t.Fatal(err)
		}
		got, ok := learn.AppendServer([]byte{}, []byte(c.lookup), start)
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("step %d: %q finds %q %v, want %q", i, c.lookup, got, ok, c.want)
		}
	}
	if _, ok := learn.AppendServer(nil, []byte("one"), start.Add(90*time.Second)); ok {
		t.Error("a session outlived its timeout")
	}
	_, err := learn.Answered([]byte("x"), nil, []byte(strings.Repeat("s", 100)), start)
	if err == nil || !strings.HasPrefix(err.Error(), `could not allocate node in sticky session zone "s"`) {
		t.Error(err)
	}
}

func TestFirstNonEmpty(t *testing.T) {
	if got := sticky.FirstNonEmpty(nil, []byte(""), []byte("b"), []byte("c")); string(got) != "b" {
		t.Errorf("%q", got)
	}
	if got := sticky.FirstNonEmpty(); got != nil {
		t.Errorf("%q", got)
	}
}

func TestSetCookie(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 52, 3, 0, time.UTC)
	for _, c := range []struct {
		cookie           sticky.Cookie
		domain, sameSite string
		want             string
	}{
		{sticky.Cookie{Name: "srv"}, "", "", "srv=ID"},
		{sticky.Cookie{Name: "srv", Path: "/"}, "", "", "srv=ID; path=/"},
		{sticky.Cookie{Name: "srv", Expires: time.Hour, HTTPOnly: true, Secure: true, Path: "/a"}, ".example.com", "Strict",
			"srv=ID; expires=Mon, 23-Nov-26 01:52:03 GMT; max-age=3600; domain=.example.com; httponly; secure; samesite=Strict; path=/a"},
		{sticky.Cookie{Name: "srv", Expires: sticky.ExpiresMax}, "", "", "srv=ID; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"},
	} {
		if got := c.cookie.AppendSetCookie(nil, []byte("ID"), []byte(c.domain), []byte(c.sameSite), now); string(got) != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	for text, want := range map[string]bool{"strict": true, "LAX": true, "None": true, "": false, "stricter": false, "no": false} {
		if sticky.ValidSameSite(text) != want {
			t.Errorf("ValidSameSite(%q) is %v", text, !want)
		}
	}
}

func TestStickyAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	learn := &sticky.Learn{Sessions: kinds.NewSession(kinds.SessionConfig{Name: "s", Bytes: 1 << 20, TimeoutMS: 60_000})}
	id, server := []byte("session"), []byte("1a902fbe1a902fbe1a902fbe1a902fbe")
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := learn.Answered(id, nil, server, start); err != nil {
			t.Fatal(err)
		}
		if _, ok := learn.AppendServer(buf, id, start); !ok {
			t.Fatal("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
