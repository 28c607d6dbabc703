package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/lib/owner"
	"starling/lib/plural"
	"starling/nginx/errno"
)

// StderrPath is the argument of error_log for the standard error stream.
const StderrPath = "stderr"

// logMode is nginx's: all users can read a log unless it existed with stricter permissions.
const logMode = 0o644

// Files are the log files of the process, each opened once even if it is named several times.
type Files struct {
	mu     sync.Mutex
	byPath map[string]*file
	// echo also gets severe lines until the process runs; nil then.
	echo atomic.Pointer[io.Writer]
	// report returns the log for failures of other logs; nil before the process runs.
	report atomic.Pointer[func() Logger]
	// program starts a line on echo: "starling: [emerg] …".
	program string

	recent recent        // lines of the error logs
	failed atomic.Uint64 // lines that could not be written

	times TimeCache
	lines sync.Pool // of *[]byte, in which error lines are built
}

// NewFiles returns an empty set for a program of that name.
func NewFiles(program string) *Files {
	fs := &Files{byPath: map[string]*file{}, program: program}
	fs.lines.New = func() any { b := make([]byte, 0, maxErrorLine); return &b }
	return fs
}

// Echo also sends lines of level warn and above to w, in the form of the command line; nil ends it.
func (fs *Files) Echo(w io.Writer) {
	if w == nil {
		fs.echo.Store(nil)
		return
	}
	fs.echo.Store(&w)
}

// Logs are the files that one configuration writes. They stay open until Close, or longer if another configuration has
// them too.
type Logs struct {
	files  *Files
	mu     sync.Mutex
	opened []*file
	access []*AccessLog
	caches []*FileCache
	byPath map[string]*AccessLog
}

// Lost counts the lines that could not be written, of all log files of the process.
func (l *Logs) Lost() uint64 { return l.files.Failed() }

// Logs returns an empty set for one configuration.
func (fs *Files) Logs() *Logs { return &Logs{files: fs, byPath: map[string]*AccessLog{}} }

// open returns the file of an absolute path and creates it if needed. The error has nginx's text.
func (l *Logs) open(path string) (*file, error) {
	f, err := l.files.acquire(path)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.opened = append(l.opened, f)
	l.mu.Unlock()
	return f, nil
}

// Close writes the buffered lines and closes the files.
func (l *Logs) Close() {
	l.mu.Lock()
	opened, access, caches := l.opened, l.access, l.caches
	l.opened, l.access, l.caches = nil, nil, nil
	l.mu.Unlock()
	for _, c := range caches {
		c.close()
	}
	for _, a := range access {
		a.Flush()
		a.file.forget(a)
	}
	for _, f := range opened {
		l.files.release(f)
	}
}

// Flush writes the buffered lines.
func (l *Logs) Flush() {
	l.mu.Lock()
	access := l.access
	l.mu.Unlock()
	for _, a := range access {
		a.Flush()
	}
}

func (fs *Files) acquire(path string) (*file, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	stream := streamOf(path)
	if stream != 0 {
		path = streamPaths[stream] // the names of a stream are one file, so that its lines keep their order
	}
	if f := fs.byPath[path]; f != nil {
		f.users++
		return f, nil
	}
	f := &file{set: fs, path: path, users: 1, stream: stream, buffered: map[*AccessLog]bool{}}
	switch {
	case path == StderrPath:
		f.out = os.Stderr
	case strings.HasPrefix(path, SyslogScheme):
		var err error
		if f.syslog, err = openSyslog(path); err != nil {
			return nil, err
		}
	default:
		var err error
		if stream != 0 {
			f.out, err = openStream(stream, path)
		} else {
			f.out, err = openLog(path)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.out != nil {
		f.startWaiting()
	}
	fs.byPath[path] = f
	return f, nil
}

func (fs *Files) release(f *file) {
	fs.mu.Lock()
	if f.users--; f.users > 0 {
		fs.mu.Unlock()
		return
	}
	delete(fs.byPath, f.path)
	fs.mu.Unlock()
	if f.syslog != nil {
		f.syslog.close()
	}
	f.drain()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		f.waiting.closed = true
		f.waiting.more.Broadcast()
	}
	if !f.onDisk() && f.stream == 0 {
		return
	}
	if err := f.out.Close(); err != nil {
		f.complain(err)
	}
	f.out = nil
}

// Reopen reopens every file by its path, after logrotate moved it away. A file that cannot be opened stays open as
// before; the errors name them.
func (fs *Files) Reopen() []error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var errs []error
	for _, f := range fs.byPath {
		if !f.onDisk() {
			continue
		}
		if err := f.reopen(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Chown changes the owner of the open files, so that a process that has dropped its privileges can reopen them. It does
// not follow links: any user with write access to the folder could have made one.
func (fs *Files) Chown(uid, gid int) []error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var errs []error
	for _, f := range fs.byPath {
		if !f.onDisk() {
			continue
		}
		if err := owner.Give(f.path, uid, gid); err != nil {
			errs = append(errs, errno.Call("chown", f.path, err))
		}
	}
	return errs
}

// Failed counts the lines that could not be written, of all files that were ever open.
func (fs *Files) Failed() uint64 { return fs.failed.Load() }

// countFailed counts lines that could not be written.
func (f *file) countFailed(lines uint64) {
	f.failed.Add(lines)
	f.set.failed.Add(lines)
}

// file is one open log file.
type file struct {
	set   *Files
	path  string
	users int // configurations that have it, under Files.mu

	mu     sync.Mutex
	out    *os.File      // nil when closed
	syslog *syslogSocket // in place of out; nil for files
	stream int           // the standard stream of the path; 0: none
	// waiting are lines for a reader that can stop; nil for a file on a disk and for syslog.
	waiting *waiting
	failed  atomic.Uint64
	// muteUntil is when a failing file may complain again, in seconds since 1970, and reportUntil when in the error
	// log.
	muteUntil, reportUntil int64
	complaining            atomic.Bool // one complaint at a time
	// buffered are the logs with buffered lines; they are written before the file is reopened.
	buffered map[*AccessLog]bool
}

// onDisk distinguishes files from standard streams and syslog.
func (f *file) onDisk() bool { return f.path != StderrPath && f.stream == 0 && f.syslog == nil }

// onStderr reports whether a line appears on standard error.
func (f *file) onStderr() bool { return f.path == StderrPath || f.stream == 2 }

func (f *file) remember(a *AccessLog) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buffered[a] = true
}

func (f *file) forget(a *AccessLog) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.buffered, a)
}

// errNoReader is the error of opening a named pipe without a reader, if open must not wait for one.
var errNoReader = errors.New("nobody reads this named pipe: start its reader first, or log to a file or to syslog")

// openLog opens a file, or creates it.
func openLog(path string) (*os.File, error) {
	const how = os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// without O_NONBLOCK, open would block the process until the pipe has a reader
		out, err := os.OpenFile(path, how|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENXIO) {
			err = errNoReader
		}
		if err != nil {
			return nil, errno.Call("open", path, err)
		}
		return out, nil
	}
	out, err := os.OpenFile(path, how, 0)
	if errors.Is(err, fs.ErrNotExist) {
		out, err = os.OpenFile(path, how|os.O_CREATE|os.O_EXCL, logMode)
		if errors.Is(err, fs.ErrExist) { // another process created it meanwhile, or it is a dangling link
			out, err = os.OpenFile(path, how|os.O_CREATE, logMode)
		} else if err == nil {
			if err = owner.GiveToFolderOwner(out); err != nil {
				out.Close() // nothing was written
				return nil, errno.Call("chown", path, err)
			}
		}
	}
	if err != nil {
		return nil, errno.Call("open", path, err)
	}
	return out, nil
}

func (f *file) reopen() error {
	out, err := openLog(f.path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	waiting := slices.Collect(maps.Keys(f.buffered))
	f.mu.Unlock()
	for _, a := range waiting {
		a.Flush()
	}
	f.mu.Lock()
	old := f.out
	f.out = out
	if f.waiting == nil {
		f.startWaiting()
	}
	f.mu.Unlock()
	if err := old.Close(); err != nil {
		return errno.Call("close", f.path, err)
	}
	return nil
}

// writeError writes one line of an error log.
func (f *file) writeError(level Level, line []byte) {
	if f.syslog != nil {
		f.message(level, line)
		return
	}
	f.write(line)
}

// message sends one line, which ends in a line feed, to a syslog server.
func (f *file) message(severity Level, line []byte) {
	if err := f.syslog.send(severity, line[:len(line)-1]); err != nil {
		f.countFailed(1)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.complain(err)
	}
}

// write writes whole lines with one system call, or leaves them to the file's own goroutine. A failure is counted, and
// reported on standard error once a second.
func (f *file) write(lines []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == nil {
		f.countFailed(1)
		return
	}
	if f.waiting != nil {
		f.enqueue(lines)
		return
	}
	if n, err := f.out.Write(lines); err != nil {
		f.lost(lines[n:], err)
	}
}

// complain reports to the operator what the logs themselves cannot. Must be called with the lock held.
func (f *file) complain(err error) {
	now := time.Now().Unix()
	if now < f.muteUntil || f.onStderr() || !f.complaining.CompareAndSwap(false, true) {
		return
	}
	f.muteUntil = now + 1
	failure, report := errno.Call("write", f.path, err), f.set.report.Load()
	if now < f.reportUntil {
		report = nil
	}
	if report != nil {
		f.reportUntil = now + reportEvery
	}
	level := Alert
	if strings.HasPrefix(f.path, SyslogScheme) || errors.Is(err, errBehind) {
		level = Error // a datagram that was not received, or a line that was not read: it is not our failure
	}
	// Without the lock: the error log may be this very file, which then fails once more and is mute. Nobody may read
	// standard error either.
	go func() {
		defer f.complaining.Store(false)
		if report != nil {
			(*report)().Logf(level, "%v; %s lost so far", failure, plural.Of(f.failed.Load(), "log line", "log lines"))
		}
		fmt.Fprintf(os.Stderr, "%v\n", failure)
	}()
}

// reportEvery is the interval, in seconds, at which the error log reports a file that cannot be written: nginx's
// minute.
const reportEvery = 60

// Report sets the log for failures of other logs, besides standard error, which often leads nowhere.
func (fs *Files) Report(to func() Logger) { fs.report.Store(&to) }
