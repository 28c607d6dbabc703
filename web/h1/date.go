package h1

import (
	"sync/atomic"
	"time"
)

// DateClock formats HTTP dates, once per second. The zero DateClock is ready; all connections can share it.
type DateClock struct{ now atomic.Pointer[dateText] }

type dateText struct {
	second int64
	text   [len(dateLayout)]byte
}

// dateLayout is the IMF-fixdate of RFC 9110, 5.6.7.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

// Append writes the date of a Unix time in seconds.
func (c *DateClock) Append(dst []byte, second int64) []byte {
	d := c.now.Load()
	if d == nil || d.second != second {
		d = &dateText{second: second}
		time.Unix(second, 0).UTC().AppendFormat(d.text[:0], dateLayout)
		c.now.Store(d)
	}
	return append(dst, d.text[:]...)
}
