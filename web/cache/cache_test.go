package cache_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/logs"
	"starling/web/cache"
	"starling/web/h1"
)

// log keeps the lines of an error log.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, "["+level.String()+"] "+fmt.Sprintf(format, args...))
}

func (l *log) Enabled(logs.Level) bool { return true }

func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Join(l.lines, "\n")
	l.lines = nil
	return all
}

// store is a cache in a test, with what a server would answer.
type store struct {
	*cache.Cache
	t     testing.TB
	clock *clock.Clock
	log   *log
}

func settings(dir string) cache.Settings {
	s := cache.DefaultSettings()
	s.Name, s.Path, s.KeyBytes, s.Levels = "one", dir, 1<<20, []int{1, 2}
	return s
}

func start(t testing.TB, s cache.Settings) *store {
	t.Helper()
	return startAs(t, s, false)
}

// startAs starts the cache of a process that replaces another one, or of one that does not.
func startAs(t testing.TB, s cache.Settings, successor bool) *store {
	t.Helper()
	l, c := &log{}, clock.Real()
	one := &store{cache.New(s, c, l), t, c, l}
	if err := one.Start(successor); err != nil {
		t.Fatal(err)
	}
	return one
}

// get asks for a key as a client does: what is stored, or else the body that its server would send, for an hour.
func (s *store) get(key, body string, vary ...string) (status, text string) {
	s.t.Helper()
	var t cache.Ticket
	defer t.End()
	t.Key = append(t.Key, key...)
	now := s.clock.Now()
	t.Begin(s.Cache, 1, now)
	var request h1.Headers
	m := cache.Meta{Freshness: cache.Freshness{Valid: now.WallMS/1000 + 3600}, Status: 200, ContentLength: int64(len(body)), LastModified: -1}
	if len(vary) == 2 {
		request = h1.Headers{{Name: []byte(vary[0]), Value: []byte(vary[1])}}
		m.Vary = []byte(vary[0])
	}
	switch outcome := t.Open(request, now); outcome {
	case cache.Fresh:
		return "HIT", s.body(t.Object)
	case cache.Old:
		status = "EXPIRED"
	case cache.Absent:
		status = "MISS"
	default:
		return fmt.Sprint("outcome ", outcome), ""
	}
	f := t.Fill(m, request)
	for rest := []byte(body); len(rest) > 0; {
		n := min(len(rest), 1000)
		if !f.Write(rest[:n]) {
			return status + " unstored", body
		}
		rest = rest[n:]
	}
	if !f.Commit(s.clock.Now()) {
		status += " unstored"
	}
	return status, body
}

func (s *store) body(o *cache.Object) string {
	if o.File == nil {
		return string(o.Body)
	}
	b := make([]byte, o.BodyBytes())
	if _, err := o.File.ReadAt(b, o.BodyAt); err != nil {
		s.t.Error(err)
	}
	return string(b)
}

func (s *store) wants(key, server, status, body string, vary ...string) {
	s.t.Helper()
	if gotStatus, gotBody := s.get(key, server, vary...); gotStatus != status || gotBody != body {
		s.t.Errorf("%s: %s %.40q, want %s %.40q", key, gotStatus, gotBody, status, body)
	}
}

// files are the files of responses.
func (s *store) files() (all []string) {
	filepath.WalkDir(s.Path, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			s.t.Error(err)
		} else if !d.IsDir() && d.Name() != "purges" {
			all = append(all, path)
		}
		return nil
	})
	return all
}

var sizes = []int{0, 1, 1000, 1001, 64 << 10, 64<<10 + 1, 300_000}

// A stored response is the same whatever its size, at once and after a restart.
func TestStored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := start(t, settings(dir))
	for _, n := range sizes {
		body := strings.Repeat("0123456789", n/10+1)[:n]
		key := fmt.Sprint("key ", n)
		s.wants(key, body, "MISS", body)
		s.wants(key, "other", "HIT", body)
	}
	again := start(t, settings(dir))
	for _, n := range sizes {
		again.wants(fmt.Sprint("key ", n), "other", "HIT", strings.Repeat("0123456789", n/10+1)[:n])
	}
	if got := again.log.take(); got != "" {
		t.Error(got)
	}
}

// The file has the name that nginx gives it, so that operators find it: the MD5 of the key below its last digits.
func TestFileNames(t *testing.T) {
	s := start(t, settings(filepath.Join(t.TempDir(), "c")))
	s.wants("hello", "x", "MISS", "x")
	if got, want := s.files(), s.Path+"/2/59/5d41402abc4b2a76b9719d911017c592"; len(got) != 1 || got[0] != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// The memory of the zone bounds the keys: the one that was not used for longest makes room, with its file.
func TestKeysAreBounded(t *testing.T) {
	one := settings(filepath.Join(t.TempDir(), "c"))
	one.KeyBytes = 10 * 128
	s := start(t, one)
	for i := range 12 {
		s.wants(fmt.Sprint(i), "x", "MISS", "x")
		s.wants("0", "y", "HIT", "x")
	}
	if n := len(s.files()); n != 10 || s.Report().Keys != 10 {
		t.Errorf("%d files, %d keys", n, s.Report().Keys)
	}
	s.wants("1", "new", "MISS", "new")
	s.wants("0", "y", "HIT", "x")
}

// Nothing is stored if each key is in use.
func TestAllKeysInUse(t *testing.T) {
	one := settings(filepath.Join(t.TempDir(), "c"))
	one.KeyBytes = 3 * 128
	s := start(t, one)
	tickets := make([]cache.Ticket, 4)
	for i := range tickets {
		tickets[i].Key = fmt.Append(nil, i)
		tickets[i].Begin(s.Cache, 1, s.clock.Now())
		want := cache.Absent
		if i == 3 {
			want = cache.Scarce
		}
		if got := tickets[i].Open(nil, s.clock.Now()); got != want {
			t.Errorf("ticket %d: %v, want %v", i, got, want)
		}
	}
	if got := s.log.take(); !strings.Contains(got, `could not allocate node in cache keys zone "one"`) {
		t.Errorf("the log: %s", got)
	}
	for i := range tickets {
		tickets[i].End()
	}
	s.wants("3", "x", "MISS", "x")
}

// The manager removes what is inactive and what exceeds max_size.
func TestManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := settings(filepath.Join(t.TempDir(), "c"))
		one.MaxBytes, one.Inactive = 40<<10, time.Minute
		s := start(t, one)
		s.Run(t.Context())
		for i := range 30 {
			s.wants(fmt.Sprint(i), "x", "MISS", "x")
		}
		testkit.Pass(11 * time.Second)
		if n := len(s.files()); n != 9 { // below max_size, as in nginx
			t.Errorf("%d files", n)
		}
		s.wants("29", "y", "HIT", "x")
		testkit.Pass(55 * time.Second)
		s.wants("29", "y", "HIT", "x")
		testkit.Pass(30 * time.Second)
		if n := len(s.files()); n != 1 {
			t.Errorf("%d files after a minute", n)
		}
	})
}

// A full disk is a miss with one line in the log, and leaves no temporary file.
func TestUnwritable(t *testing.T) {
	s := start(t, settings(filepath.Join(t.TempDir(), "c")))
	if err := os.RemoveAll(s.Path); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"x", strings.Repeat("x", 100_000)} {
		if status, got := s.get("k", body); status != "MISS unstored" || got != body {
			t.Errorf("%s", status)
		}
	}
	if got := s.log.take(); strings.Count(got, "\n") != 0 || !strings.Contains(got, "the response is not stored in cache \"one\"") {
		t.Errorf("the log: %s", got)
	}
	if s.Report().Keys != 0 {
		t.Error("a key stays")
	}
}

// A response larger than max_size is not stored.
func TestTooLarge(t *testing.T) {
	one := settings(filepath.Join(t.TempDir(), "c"))
	one.MaxBytes = 200_000
	s := start(t, one)
	for range 2 {
		if status, _ := s.get("k", strings.Repeat("x", 200_001)); status != "MISS unstored" {
			t.Error(status)
		}
	}
	if n := s.files(); len(n) != 0 {
		t.Error(n)
	}
}

// A purge removes a key with its variants, or all with a prefix; a response that was asked for before is not stored.
func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, settings(filepath.Join(t.TempDir(), "c")))
		fill := func() {
			t.Helper()
			for _, v := range []string{"a", "b", "c"} {
				s.wants("k", v, "MISS", v, "X", v)
				s.wants("k", "other", "HIT", v, "X", v)
			}
			s.wants("k2", "x", "MISS", "x")
		}
		fill()
		late := cache.Ticket{Key: []byte("k3")}
		late.Begin(s.Cache, 1, s.clock.Now())
		late.Open(nil, s.clock.Now())
		if found, err := s.Purge([]byte("k"), s.clock.Now()); !found || err != nil {
			t.Errorf("found %v, %v", found, err)
		}
		for _, v := range []string{"a", "b", "c"} {
			s.wants("k", v, "MISS", v, "X", v)
		}
		s.wants("k2", "y", "HIT", "x")
		if found, err := s.Purge([]byte("none"), s.clock.Now()); found || err != nil {
			t.Errorf("found %v, %v", found, err)
		}
		if err := s.PurgeAll([]byte("k"), s.clock.Now()); err != nil {
			t.Error(err)
		}
		f := late.Fill(cache.Meta{Status: 200, Freshness: cache.Freshness{Valid: s.clock.Now().WallMS}}, nil)
		if f.Write([]byte("late")); f.Commit(s.clock.Now()) {
			t.Error("a response that was on its way was stored")
		}
		late.End()
		fill()
	})
}

// With the purger, the files that a wildcard covers are removed without being asked for.
func TestPurger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := settings(filepath.Join(t.TempDir(), "c"))
		one.Purges = true
		s := start(t, one)
		s.Run(t.Context())
		for i := range 25 {
			s.wants(fmt.Sprint("a", i), "x", "MISS", "x")
			s.wants(fmt.Sprint("b", i), "x", "MISS", "x")
		}
		if err := s.PurgeAll([]byte("a"), s.clock.Now()); err != nil {
			t.Fatal(err)
		}
		testkit.Pass(5 * time.Second)
		if n := len(s.files()); n != 25 {
			t.Errorf("%d files", n)
		}
	})
}

// One request of many fetches a response; the others wait for it, and find it.
func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, settings(filepath.Join(t.TempDir(), "c")))
		first := cache.Ticket{Key: []byte("k")}
		first.Begin(s.Cache, 1, s.clock.Now())
		first.Open(nil, s.clock.Now())
		if !first.Lock(time.Minute, s.clock.Now()) {
			t.Fatal("the first request does not get the lock")
		}
		var waiting sync.WaitGroup
		for range 1000 {
			waiting.Go(func() {
				one := cache.Ticket{Key: []byte("k")}
				defer one.End()
				one.Begin(s.Cache, 1, s.clock.Now())
				one.Open(nil, s.clock.Now())
				if one.Lock(time.Minute, s.clock.Now()) {
					t.Error("two requests have the lock")
					return
				}
				ended, _, ok := one.Wait(s.clock.Now())
				if !ok {
					t.Error("no room to wait")
					return
				}
				<-ended
				one.Waited()
				if got := one.Open(nil, s.clock.Now()); got != cache.Fresh || string(one.Object.Body) != "x" {
					t.Errorf("outcome %v", got)
				}
			})
		}
		synctest.Wait()
		f := first.Fill(cache.Meta{Status: 200, ContentLength: 1, Freshness: cache.Freshness{Valid: s.clock.Now().WallMS}}, nil)
		f.Write([]byte("x"))
		f.Commit(s.clock.Now())
		first.End()
		waiting.Wait()
	})
}

// Many requests for few keys, each of which is replaced, removed and purged all the time: no wrong body.
func TestTogether(t *testing.T) {
	one := settings(filepath.Join(t.TempDir(), "c"))
	one.KeyBytes = 20 * 128
	s := start(t, one)
	s.Run(t.Context())
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for i := range 300 {
				key := fmt.Sprint((user*7 + i*13) % 30)
				body := strings.Repeat(key+".", 1+(i*997)%40_000)
				got, text := s.get(key, body)
				if strings.Trim(text, key+".") != "" || !strings.HasSuffix(text, key+".") {
					t.Errorf("%s: %s %.40q", key, got, text)
				}
				if i%10 == 0 {
					if _, err := s.Purge([]byte(key), s.clock.Now()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	users.Wait()
	if left := s.Report(); left.Bytes < 0 || left.Keys > 20 {
		t.Errorf("%+v", left)
	}
}
