package logs

import (
	"fmt"
	"sync"
	"time"

	"starling/nginx/errno"
)

// Sparing writes lines that strangers can cause, a few a minute: each kind once, and of all kinds a number. What it left out is summed up in one
// line at the minute's end, so that a port scanner neither fills the disk nor hides that it was there. A log at level debug has all.
type Sparing struct {
	log Logger

	mu     sync.Mutex
	since  time.Time // the minute's beginning
	told   map[string]struct{}
	left   int
	last   string // of those left out
	level  Level  // the gravest of those left out
	end    *time.Timer
	closed bool
}

const (
	// sparingLines are enough to see what goes on: in a day of attack they and their sums make 3 MB.
	sparingLines = 20
	sparingEvery = time.Minute
)

// NewSparing makes one that writes to a log.
func NewSparing(log Logger) *Sparing { return &Sparing{log: log} }

// Logf writes a line unless one with the same key was written in this minute, or too many were. The key is who and why: a host and an error.
func (s *Sparing) Logf(level Level, key, format string, args ...any) {
	if !s.log.Enabled(level) {
		return
	}
	if !s.admits(key) {
		level = s.leaveOut(level, fmt.Sprintf(format, errno.Args(args)...))
	}
	s.log.Logf(level, format, args...)
}

// admits says whether a line is to be written.
func (s *Sparing) admits(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.since.IsZero() || now.Sub(s.since) >= sparingEvery {
		s.since, s.told = now, map[string]struct{}{}
	}
	if _, told := s.told[key]; told || len(s.told) >= sparingLines || s.closed {
		return false
	}
	s.told[key] = struct{}{}
	return true
}

// leaveOut counts a line and sees to it that the count is told.
func (s *Sparing) leaveOut(level Level, text string) Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		s.level = level
		if !s.closed {
			s.end = time.AfterFunc(time.Until(s.since.Add(sparingEvery)), s.sumUp)
		}
	}
	s.left++
	s.last, s.level = text[:min(len(text), maxErrorLine/2)], min(s.level, level)
	return Debug
}

// sumUp tells how much was left out.
func (s *Sparing) sumUp() {
	s.mu.Lock()
	left, last, level := s.left, s.last, s.level
	s.left = 0
	s.mu.Unlock()
	if left > 0 {
		s.log.Logf(level, "… and %d more such lines in the last minute; the last one: %s", left, last)
	}
}

// Close sums up what is left: the log is about to be closed.
func (s *Sparing) Close() {
	s.mu.Lock()
	s.closed = true
	if s.end != nil {
		s.end.Stop()
	}
	s.mu.Unlock()
	s.sumUp()
}
