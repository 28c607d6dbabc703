package logs_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/logs"
)

// lines is a log in memory, down to a level.
type lines struct {
	most logs.Level
	mu   sync.Mutex
	all  []string
}

func (l *lines) Enabled(level logs.Level) bool { return level <= l.most }

func (l *lines) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Enabled(level) {
		l.all = append(l.all, "["+level.String()+"] "+fmt.Sprintf(format, args...))
	}
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.all = nil }()
	return l.all
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{most: logs.Info}
		s := logs.NewSparing(log)
		for i := range 10_000 { // one knocks again and again, others come once each
			s.Logf(logs.Error, "10.0.0.1 no certificate", "no certificate, client: 10.0.0.1")
			s.Logf(logs.Warn, fmt.Sprint(i), "not the protocol, client: %d", i)
			s.Logf(logs.Debug, "x", "nobody asked for this")
		}
		got := log.take()
		if len(got) != 20 || got[0] != "[error] no certificate, client: 10.0.0.1" || got[19] != "[warn] not the protocol, client: 18" {
			t.Errorf("%d lines: %q", len(got), got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := log.take(); len(got) != 1 ||
			got[0] != "[error] suppressed 19980 similar messages in the last minute; the last one: not the protocol, client: 9999" {
			t.Errorf("the sum: %q", got)
		}
		s.Logf(logs.Error, "10.0.0.1 no certificate", "again")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := log.take(); len(got) != 1 || got[0] != "[error] again" {
			t.Errorf("a new minute: %q", got)
		}
	})
}

func TestWhatWasLeftOutIsToldAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{most: logs.Debug}
		s := logs.NewSparing(log)
		s.Logf(logs.Error, "a", "once")
		s.Logf(logs.Error, "a", "twice, %s", strings.Repeat("x", 5000))
		s.Close()
		got := log.take()
		if len(got) != 3 || !strings.HasPrefix(got[1], "[debug] twice") || !strings.HasPrefix(got[2], "[error] suppressed 1 similar message in") ||
			len(got[2]) > 1200 {
			t.Errorf("%q", got)
		}
		s.Logf(logs.Error, "b", "after the end") // its log may be closed, and nobody sums up any more
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := log.take(); len(got) != 1 || got[0] != "[debug] after the end" {
			t.Errorf("%q", got)
		}
	})
}

// Of a peer one warning of each reason is written in a minute, then it is counted; another peer's are not lost in that.
func TestAPeerDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{most: logs.Info}
		s := logs.NewSparingOfPeers(log)
		for i := range 20_000 {
			s.Logf(logs.Warn, "one gap", "one left out frames before %d", i)
			s.Logf(logs.Notice, "one came", "one came, number %d", i)
		}
		s.Logf(logs.Warn, "two gap", "two left out frames")
		s.Logf(logs.Error, "one clock", "the clock of one")
		got := log.take()
		if len(got) != 1+5+1+1 || got[6] != "[warn] two left out frames" || got[7] != "[error] the clock of one" {
			t.Errorf("%d lines: %q", len(got), got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got = log.take()
		if len(got) != 2 || got[0] != "[warn] suppressed 19999 similar messages in the last minute; the last one: one left out frames before 19999" ||
			got[1] != "[notice] suppressed 19995 similar messages in the last minute; the last one: one came, number 19999" {
			t.Errorf("the counts: %q", got)
		}
		for i := range 1000 { // many peers
			s.Logf(logs.Warn, fmt.Sprint("reason ", i), "reason %d", i)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := log.take(); len(got) != 301 {
			t.Errorf("%d lines of a thousand kinds in a minute, want 300 and a sum", len(got))
		}
	})
}

// Each reason of a peer has its line and its count. A peer that makes up reasons gets a few lines more, and hides
// nothing of another one.
func TestReasonsOfAPeerAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{most: logs.Info}
		s := logs.NewSparingOfPeers(log)
		for range 3 {
			s.LogReasonf(logs.Error, "one", "bad frame", "one: bad frame")
			s.LogReasonf(logs.Error, "one", "bad zone", "one: bad zone")
			s.LogReasonf(logs.Debug, "one", "whatever", "nobody asked for this")
		}
		if got := log.take(); len(got) != 2 || got[0] != "[error] one: bad frame" || got[1] != "[error] one: bad zone" {
			t.Errorf("two reasons, three times: %q", got)
		}
		for i := range 10_000 {
			s.LogReasonf(logs.Error, "one", fmt.Sprint("made up ", i), "one: made up %d", i)
		}
		s.LogReasonf(logs.Error, "two", "bad frame", "two: bad frame")
		got := log.take()
		if len(got) != 22+1+1 || got[23] != "[error] two: bad frame" {
			t.Errorf("ten thousand reasons: %q", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		const sum = "[error] suppressed %d similar messages in the last minute; the last one: one: %s"
		want := []string{fmt.Sprintf(sum, 9977, "made up 9999"), fmt.Sprintf(sum, 2, "bad frame"), fmt.Sprintf(sum, 2, "bad zone")}
		if got := log.take(); !slices.Equal(got, want) {
			t.Errorf("the counts: %q", got)
		}
		for i := range 20 {
			s.LogReasonf(logs.Error, "one", fmt.Sprint("new ", i), "one: new %d", i)
		}
		if got := log.take(); len(got) != 20 || got[19] != "[error] one: new 19" {
			t.Errorf("a new minute: %q", got)
		}
	})
}
