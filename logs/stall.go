package logs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// waiting are the lines of a file whose reader can stop reading: a named pipe, a pipe to the runtime of a container, a
// terminal that is paused. A goroutine of its own writes them, so a reader that stalls delays no request.
type waiting struct {
	// more wakes the goroutine, and those that wait until it has written everything. Its lock is that of the file.
	more    sync.Cond
	lines   []byte
	spare   []byte // the other buffer
	writing bool
	closed  bool
}

// maxWaitingBytes is how much waits for a reader that is slow for a moment: some thousands of lines.
const maxWaitingBytes = 1 << 20

// drainTimeout is how long the process waits at its end, or a file when it is closed, for a reader that has stopped.
const drainTimeout = time.Second

// errBehind is reported when lines are lost.
var errBehind = errors.New("its reader has stopped, or reads too slowly")

// canStall distinguishes what another program or a person reads from files on a disk and devices such as /dev/null.
func canStall(out *os.File) bool {
	info, err := out.Stat()
	switch {
	case err != nil:
		return false
	case info.Mode()&fs.ModeCharDevice != 0:
		_, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ) // only a terminal has one
		return err == nil
	}
	return info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}

// startWaiting makes the file write in a goroutine of its own if its reader can stop.
func (f *file) startWaiting() {
	if !canStall(f.out) {
		return
	}
	f.waiting = &waiting{}
	f.waiting.more.L = &f.mu
	go f.writeWaiting()
}

// enqueue must be called with the lock held.
func (f *file) enqueue(lines []byte) {
	w := f.waiting
	if w.closed || len(w.lines)+len(lines) > maxWaitingBytes {
		f.lost(lines, errBehind)
		return
	}
	w.lines = append(w.lines, lines...)
	w.more.Broadcast()
}

// lost counts lines and reports why. Must be called with the lock held.
func (f *file) lost(lines []byte, err error) {
	f.countFailed(uint64(max(1, bytes.Count(lines, []byte{'\n'}))))
	f.complain(err)
}

// writeWaiting writes what waits until the file is closed.
func (f *file) writeWaiting() {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.waiting
	for {
		for len(w.lines) == 0 && !w.closed {
			w.more.Wait()
		}
		if len(w.lines) == 0 || f.out == nil {
			return
		}
		batch, out := w.lines, f.out
		w.lines, w.writing = w.spare[:0], true
		f.mu.Unlock()
		n, err := out.Write(batch)
		f.mu.Lock()
		w.spare, w.writing = batch, false
		switch {
		case errors.Is(err, os.ErrClosed): // by a reopening, while its reader did not read
			f.lost(batch[n:], errBehind)
		case err != nil:
			f.lost(batch[n:], err)
		}
		w.more.Broadcast()
	}
}

// drain waits until everything is written, or until the reader has taken too long.
func (f *file) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.waiting
	if w == nil {
		return
	}
	late := false
	timer := time.AfterFunc(drainTimeout, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		late = true
		w.more.Broadcast()
	})
	defer timer.Stop()
	for (len(w.lines) > 0 || w.writing) && !late {
		w.more.Wait()
	}
}

// Drain waits for the readers of pipes, for at most drainTimeout: the process is about to end.
func (fs *Files) Drain() {
	fs.mu.Lock()
	var all []*file
	for _, f := range fs.byPath {
		all = append(all, f)
	}
	fs.mu.Unlock()
	var done sync.WaitGroup
	for _, f := range all {
		done.Go(f.drain)
	}
	done.Wait()
}
