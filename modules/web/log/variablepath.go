package log

import (
	"os"

	"starling/observe"
	"starling/web"
)

// writeOnce appends a line to the file that a path with variables means for this request. As in nginx the document root must
// exist: names that strangers make up ($host) must not fill a folder with logs.
func (l *Log) writeOnce(r *web.Request, line []byte) {
	root := string(r.FilenameOf(nil))
	info, err := os.Stat(root)
	if err != nil || !info.IsDir() {
		if err != nil && !os.IsNotExist(err) {
			r.Logf(observe.Error, "testing \"%s\" existence failed (%s)", root, observe.Reason(err))
		}
		return
	}
	path := string(r.Expand(&l.path))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, logMode)
	if err != nil {
		r.Logf(observe.Crit, "open() \"%s\" failed (%s)", path, observe.Reason(err))
		return
	}
	if len(line) > observe.MaxAccessLine {
		line = append(line[:observe.MaxAccessLine-1:observe.MaxAccessLine-1], '\n')
	}
	if _, err := file.Write(line); err != nil {
		r.Logf(observe.Alert, "write() to \"%s\" failed (%s)", path, observe.Reason(err))
	}
	if err := file.Close(); err != nil {
		r.Logf(observe.Alert, "close() \"%s\" failed (%s)", path, observe.Reason(err))
	}
}

// logMode is nginx's: everybody may read a log that nobody made more private beforehand.
const logMode = 0o644
