package ssl

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

func fixedKey(t testing.TB, size int, fill string) *ticketKey {
	t.Helper()
	key, err := parseTicketKey(bytes.Repeat([]byte(fill), size))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTicketsOpenOnlyWithTheirKey(t *testing.T) {
	for _, size := range []int{ticketKeyBytes128, ticketKeyBytes256} {
		key, other := fixedKey(t, size, "a"), fixedKey(t, size, "b")
		for _, text := range []string{"", "session", strings.Repeat("x", 16), strings.Repeat("y", 1000)} {
			ticket := key.seal([]byte(text))
			if !bytes.HasPrefix(ticket, key.name[:]) || len(text) > 6 && bytes.Contains(ticket, []byte(text)) {
				t.Errorf("%d: a ticket begins with the name of its key and hides the session: %q", size, ticket)
			}
			if got := key.open(ticket); got == nil || string(got) != text {
				t.Errorf("%d: %q became %q", size, text, got)
			}
			if other.open(ticket) != nil {
				t.Errorf("%d: another key opened it", size)
			}
			for i := range ticket {
				changed := bytes.Clone(ticket)
				changed[i] ^= 1
				if key.open(changed) != nil {
					t.Errorf("%d: opened although byte %d of %d has changed", size, i, len(ticket))
				}
			}
			for n := range len(ticket) {
				if key.open(ticket[:n]) != nil {
					t.Errorf("%d: opened although cut to %d bytes", size, n)
				}
			}
		}
	}
}

// A key seals for one timeout and opens for another, as in nginx; a ticket is never refused before its time.
func TestKeysOfTicketsRotate(t *testing.T) {
	const timeout = time.Minute
	keys := &TicketKeys{}
	start := time.Now()
	at := func(after time.Duration) []*ticketKey {
		all, err := keys.at(start.Add(after), timeout)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := at(0)[0]
	if again := at(59 * time.Second); len(again) != 1 || again[0] != first {
		t.Error("the key changed too early")
	}
	second := at(time.Minute)
	if len(second) != 2 || second[0] == first || second[1] != first {
		t.Error("the key did not change, or tickets of the first are lost")
	}
	// the last ticket of the first key is from second 59
	if all := at(118 * time.Second); all[len(all)-1] != first {
		t.Error("a valid ticket is lost")
	}
	if all := at(120 * time.Second); all[0] == second[0] || all[1] != second[0] {
		t.Error("the second key seals for too long")
	}
}

func TestTicketsExpireAndBelongToTheirContext(t *testing.T) {
	keys := &TicketKeys{}
	mine := newTickets(keys, time.Minute, nil, []string{"http"})
	other := newTickets(keys, time.Minute, nil, []string{"stream"})
	now := time.Now()
	w := newWorld(t)
	// a session of the library itself
	var session *tls.SessionState
	server := w.server(t, func(*ServerSettings) {}).Config
	server.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		session = s
		return []byte("x"), nil
	}
	client := w.clientOf(t, func(*ClientSettings) {}).Config("server.example", true)
	if _, _, err, serverErr := shake(t, client, server); err != nil || serverErr != nil || session == nil {
		t.Fatal(err, serverErr)
	}
	session.Extra = [][]byte{[]byte("of another")}
	for range 2 { // sealed again, as after a resumption
		ticket, err := mine.seal(session, now)
		if err != nil || len(session.Extra) != 2 {
			t.Fatal(err, session.Extra)
		}
		for _, c := range []struct {
			what  string
			by    *tickets
			after time.Duration
			want  bool
		}{
			{"in time", mine, 59 * time.Second, true},
			{"too late", mine, time.Minute, false},
			{"elsewhere", other, 0, false},
		} {
			got, err := c.by.open(ticket, now.Add(c.after))
			if err != nil || (got != nil) != c.want {
				t.Errorf("%s: %v, %v", c.what, got, err)
			}
		}
		now = now.Add(30 * time.Second)
	}
	foreign, err := session.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range [][]byte{nil, []byte("nonsense"), foreign[:len(foreign)/2]} {
		all, err := keys.at(now, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := mine.open(all[0].seal(plain), now); got != nil || err != nil {
			t.Errorf("%q: %v, %v", plain, got, err)
		}
	}
}

func FuzzTicket(f *testing.F) {
	key := fixedKey(f, ticketKeyBytes128, "k")
	f.Add(key.seal([]byte("session")))
	t := &tickets{keys: &TicketKeys{files: []*ticketKey{key}}, timeout: time.Minute}
	f.Fuzz(func(test *testing.T, ticket []byte) {
		if session, err := t.open(ticket, time.Now()); session != nil || err != nil {
			test.Errorf("a ticket without a session: %v, %v", session, err)
		}
	})
}
