package logs

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Stamps are the forms in which logs write a time; they change once a second and are shared by all lines of it.
type Stamps struct {
	unix     int64
	ErrorLog string // 2026/11/23 12:00:00
	Local    string // 23/Nov/2026:12:00:00 +0000, $time_local
	ISO8601  string // 2026-11-23T12:00:00+00:00, $time_iso8601
}

// TimeCache remembers the stamps of the current second. The zero TimeCache is ready.
type TimeCache struct{ last atomic.Pointer[Stamps] }

// At returns the stamps of a time. It allocates once a second.
func (c *TimeCache) At(now time.Time) *Stamps {
	unix := now.Unix()
	if s := c.last.Load(); s != nil && s.unix == unix {
		return s
	}
	s := &Stamps{
		unix:     unix,
		ErrorLog: now.Format("2006/01/02 15:04:05"),
		Local:    now.Format("02/Jan/2006:15:04:05 -0700"),
		ISO8601:  now.Format("2006-01-02T15:04:05-07:00"),
	}
	c.last.Store(s)
	return s
}

// AppendISO8601Millis appends ISO8601 with the milliseconds of a time: 2026-11-23T12:00:00.042+00:00.
func (s *Stamps) AppendISO8601Millis(dst []byte, unixMS int64) []byte {
	const seconds = len("2006-01-02T15:04:05")
	dst = append(dst, s.ISO8601[:seconds]...)
	start := len(dst)
	dst = strconv.AppendInt(dst, 1000+max(unixMS, 0)%1000, 10) // four digits, of which the first becomes the point
	dst[start] = '.'
	return append(dst, s.ISO8601[seconds:]...)
}
