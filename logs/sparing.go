package logs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"starling/lib/plural"
	"starling/nginx/errno"
)

// Sparing rate-limits lines that others can cause to a few a minute: each kind once, and a number of all kinds. It
// counts the suppressed lines at the end of the minute, so that neither a port scanner nor a misbehaving peer can fill
// the disk or hide its presence. A log at level debug has all.
type Sparing struct {
	log Logger
	// lines is how many are written in a minute, and repeats how many of one kind below the level warn.
	lines, repeats int
	// apart means that each kind is counted separately: there are few, because attackers cannot invent them.
	apart bool

	mu      sync.Mutex
	since   time.Time // the minute's beginning
	written int
	kinds   map[string]*spared
	// reasons is how many kinds each source of LogReasonf has in this minute.
	reasons map[string]int
	end     *time.Timer
	closed  bool
}

// spared is the state of one kind of line in this minute.
type spared struct {
	written, left int
	last          string // of those left out
	level         Level  // the most severe of the suppressed ones
}

const (
	// strangersLines are enough to see what happens: in a day of attack, they and their summaries take 3 MB.
	strangersLines = 20
	// peersLines are enough for a cluster of 50 nodes that all restart.
	peersLines = 300
	// peersRepeats are enough to see a peer come and go.
	peersRepeats = 5
	// maxReasons is more than the problems of one peer in a minute: 16 zones that do not match, and a few errors. A
	// peer that makes up reasons gets no more lines.
	maxReasons   = 24
	sparingEvery = time.Minute
)

// NewSparing makes one for lines caused by strangers, who can invent kinds.
func NewSparing(log Logger) *Sparing { return &Sparing{log: log, lines: strangersLines, repeats: 1} }

// NewSparingOfPeers makes one for lines that known peers cause: of each peer and reason one warning is written, then it
// is counted.
func NewSparingOfPeers(log Logger) *Sparing {
	return &Sparing{log: log, lines: peersLines, repeats: peersRepeats, apart: true}
}

// Logf writes a line unless one with the same key was written in this minute, or too many were. The key is the source
// and the reason: a host and an error.
func (s *Sparing) Logf(level Level, key, format string, args ...any) {
	if !s.log.Enabled(level) {
		return
	}
	if !s.admits(level, key) {
		level = s.leaveOut(level, key, fmt.Sprintf(format, errno.Args(args)...))
	}
	s.log.Logf(level, format, args...)
}

// LogReasonf is Logf with a key of two parts, the source and the reason, for sources that choose the reason themselves:
// beyond maxReasons of one source in a minute, the others share one key.
func (s *Sparing) LogReasonf(level Level, source, reason, format string, args ...any) {
	if s.log.Enabled(level) {
		s.Logf(level, s.keyOf(source, reason), format, args...)
	}
}

// keyOf returns the key of a reason.
func (s *Sparing) keyOf(source, reason string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(time.Now())
	key := source + " " + reason
	switch {
	case s.kinds[key] != nil || s.written >= s.lines: // beyond the limit of lines nothing is kept
		return key
	case s.reasons[source] >= maxReasons:
		return source
	}
	s.reasons[source]++
	s.kinds[key] = &spared{}
	return key
}

// admits reports whether to write a line.
func (s *Sparing) admits(level Level, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(time.Now())
	most := s.repeats
	if level <= Warn {
		most = 1
	}
	k := s.kinds[key]
	if s.closed || s.written >= s.lines || k != nil && k.written >= most {
		return false
	}
	if k == nil {
		k = &spared{}
		s.kinds[key] = k
	}
	k.written++
	s.written++
	return true
}

// turn starts a minute when the previous one is over. Counts that were not logged yet stay until they are.
func (s *Sparing) turn(now time.Time) {
	if !s.since.IsZero() && now.Sub(s.since) < sparingEvery {
		return
	}
	s.since, s.written = now, 0
	if s.kinds == nil {
		s.kinds, s.reasons = map[string]*spared{}, map[string]int{}
	}
	clear(s.reasons)
	maps.DeleteFunc(s.kinds, func(_ string, k *spared) bool { return k.left == 0 })
	for _, k := range s.kinds {
		k.written = 0
	}
}

// leaveOut counts a suppressed line and schedules the summary.
func (s *Sparing) leaveOut(level Level, key, text string) Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[key]
	if !s.apart || k == nil { // all that are not counted by themselves
		if k = s.kinds[""]; k == nil {
			k = &spared{}
			s.kinds[""] = k
		}
	}
	if s.end == nil && !s.closed {
		s.end = time.AfterFunc(time.Until(s.since.Add(sparingEvery)), s.sumUp)
	}
	if k.left == 0 {
		k.level = level
	}
	k.left++
	k.last, k.level = text[:min(len(text), maxErrorLine/2)], min(k.level, level)
	return Debug
}

// sumUp logs how many lines were suppressed.
func (s *Sparing) sumUp() {
	s.mu.Lock()
	var sums []spared
	for _, key := range slices.Sorted(maps.Keys(s.kinds)) {
		if k := s.kinds[key]; k.left > 0 {
			sums = append(sums, *k)
			k.left = 0
		}
	}
	s.end = nil
	s.mu.Unlock()
	slices.SortStableFunc(sums, func(a, b spared) int { return cmp.Compare(a.level, b.level) })
	for _, k := range sums {
		s.log.Logf(k.level, "suppressed %s in the last minute; the last one: %s",
			plural.Of(k.left, "similar message", "similar messages"), k.last)
	}
}

// Close logs the remaining counts: the log is about to be closed.
func (s *Sparing) Close() {
	s.mu.Lock()
	s.closed = true
	if s.end != nil {
		s.end.Stop()
	}
	s.mu.Unlock()
	s.sumUp()
}
