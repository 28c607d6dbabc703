package log

import (
	"os"

	"starling/observe"
	"starling/web"
)

// writeOnce appends a line to the file that a path with variables means for this request. As in nginx the document root must
// exist: names that strangers make up ($host) must not fill a folder with logs.
func (l *openLog) writeOnce(r *web.Request, line []byte) {
	root := string(r.FilenameOf(nil))
	info, err := os.Stat(root)
	if err != nil || !info.IsDir() {
		if err != nil && !os.IsNotExist(err) {
			r.Logf(observe.Error, "testing \"%s\" existence failed (%s)", root, observe.Reason(err))
		}
		return
	}
	path := string(r.Expand(&l.path))
	if level, err := l.cache.Append(path, line); err != nil {
		r.Logf(level, "%v", err)
	}
}
