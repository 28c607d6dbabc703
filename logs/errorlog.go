package logs

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"starling/nginx/errno"
)

// maxErrorLine is the longest line of an error log in bytes, nginx's NGX_MAX_ERROR_STR: data from a client must not
// fill the disk.
const maxErrorLine = 2048

// Target is one error_log directive.
type Target struct {
	Path  string // absolute, StderrPath, or with SyslogScheme
	Level Level  // lines of this level and more severe ones are written
	JSON  bool   // lines of JSON instead of nginx's
}

// ErrorLog writes lines to one or more files, each from its own level on. It is safe for concurrent use.
type ErrorLog struct {
	files   *Files
	targets []errorTarget
	most    Level // the lowest level that any target logs
	prefix  string
	pid     int
}

type errorTarget struct {
	file  *file
	level Level
	json  bool
}

// ErrorLog opens the files of the targets. The error has nginx's text, without a location.
func (l *Logs) ErrorLog(targets []Target) (*ErrorLog, error) {
	pid := strconv.Itoa(os.Getpid())
	e := &ErrorLog{files: l.files, most: -1, prefix: pid + "#" + pid + ": ", pid: os.Getpid()}
	for _, t := range targets {
		f, err := l.open(t.Path)
		if err != nil {
			return nil, err
		}
		e.targets = append(e.targets, errorTarget{f, t.Level, t.JSON})
		e.most = max(e.most, t.Level)
	}
	return e, nil
}

// Enabled implements Logger.
func (e *ErrorLog) Enabled(level Level) bool {
	return level <= e.most || level <= Warn && e.files.echo.Load() != nil
}

// Logf implements Logger.
func (e *ErrorLog) Logf(level Level, format string, args ...any) {
	if !e.Enabled(level) {
		return
	}
	var echo io.Writer
	onStderr, text := false, false
	for _, t := range e.targets {
		if level <= t.level {
			onStderr = onStderr || t.file.onStderr()
			text = text || !t.json
		}
	}
	if to := e.files.echo.Load(); to != nil && level <= Warn && !onStderr {
		echo = *to
	}
	kept := level > Warn // or need not be
	if text || echo != nil {
		e.writeText(level, echo, format, args)
		kept = true
	}
	for _, t := range e.targets {
		if level <= t.level && t.json {
			now := time.Now()
			line := appendJSONLine(nil, now, e.pid, level, format, args)
			t.file.writeError(level, line)
			if !kept {
				e.files.recent.add(now, level, line)
				kept = true
			}
		}
	}
}

// writeText writes a line in nginx's form to all targets that are not JSON, and to echo, if any.
func (e *ErrorLog) writeText(level Level, echo io.Writer, format string, args []any) {
	buf := e.files.lines.Get().(*[]byte)
	defer e.files.lines.Put(buf)
	line := append((*buf)[:0], e.files.times.At(time.Now()).ErrorLog...)
	line = append(line, " ["...)
	line = append(line, level.String()...)
	line = append(line, "] "...)
	line = append(line, e.prefix...)
	text := len(line)
	line = fmt.Appendf(line, format, errno.Args(args)...)
	if len(line) > maxErrorLine-1 {
		line = line[:maxErrorLine-1]
	}
	line = append(oneLine(line, text), '\n')
	*buf = line[:0]
	if level <= Warn {
		e.files.recent.add(time.Now(), level, line[text:len(line)-1])
	}
	for _, t := range e.targets {
		if level <= t.level && !t.json {
			t.file.writeError(level, line)
		}
	}
	if echo != nil {
		echoLine(echo, e.files.program, level, line[text:])
	}
}

func echoLine(w io.Writer, program string, level Level, text []byte) {
	fmt.Fprintf(w, "%s: [%s] %s", program, level, text) // it is the last resort: its failure cannot be reported
}

// oneLine replaces control characters from start on, so that no data from a client can look like a line of its own.
func oneLine(line []byte, start int) []byte {
	for i := start; i < len(line); i++ {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return escapeControls(line, i)
		}
	}
	return line
}

func escapeControls(line []byte, start int) []byte {
	const hex = "0123456789ABCDEF"
	rest := string(line[start:])
	line = line[:start]
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c < ' ' && c != '\t' || c == 0x7f {
			line = append(line, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			line = append(line, c)
		}
	}
	return line
}

// Redirect returns the file of the first target that is neither standard error nor syslog, or nil: a daemon's standard
// error goes there, so that not even a crash is lost.
func (e *ErrorLog) Redirect() *os.File {
	for _, t := range e.targets {
		if t.file.path != StderrPath && t.file.syslog == nil {
			t.file.mu.Lock()
			defer t.file.mu.Unlock()
			return t.file.out
		}
	}
	return nil
}
