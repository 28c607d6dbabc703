package keyval

import (
	"time"

	"starling/logs"
)

// reportEvery is how often the log tells how far the loading of a state file is.
const reportEvery = 5 * time.Second

// lookEvery is how many records are loaded between two looks at the clock: a few milliseconds.
const lookEvery = 4096

// loading tells in the log how far a state log is that takes long to load. The API cannot tell it: a node accepts
// clients after it has loaded its state.
type loading struct {
	log             logs.Logger
	now             func() time.Time
	path            string
	records         int
	bytes, of       int64
	began, reported time.Time
}

func newLoading(log logs.Logger, path string, bytes int64, now func() time.Time) *loading {
	began := now()
	return &loading{log: log, now: now, path: path, of: bytes, began: began, reported: began}
}

// loaded counts a record.
func (l *loading) loaded(bytes int) {
	l.records++
	l.bytes += int64(bytes)
	if l.records%lookEvery != 0 {
		return
	}
	now := l.now()
	if now.Sub(l.reported) < reportEvery {
		return
	}
	l.reported = now
	l.log.Logf(logs.Notice, "loading state file \"%s\": %d records so far, %d of %d MB", l.path, l.records,
		l.bytes>>mbBits, l.of>>mbBits)
}

// ended tells how long it took, if the beginning was told.
func (l *loading) ended() {
	if l.reported != l.began {
		l.log.Logf(logs.Notice, "loaded state file \"%s\": %d records in %d s", l.path, l.records,
			int(l.now().Sub(l.began)/time.Second))
	}
}

const mbBits = 20
