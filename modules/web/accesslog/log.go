package accesslog

import (
	"os"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/web"
	"starling/web/document"
)

func build(b *web.Block) (web.Handler, error) {
	w, err := options.Open(conf.SettingsOf[Settings](b.Scope), b.Plan, b.Scope.Node)
	if w == nil {
		return nil, err
	}
	return func(r *web.Request) web.Result {
		w.Write(r)
		return web.Declined
	}, nil
}

// rootExists is checked before a log named by variables is opened. As in nginx the document root must exist: names that
// strangers make up ($host) must not fill a folder with logs.
func rootExists(r *web.Request) bool {
	root := string(r.FilenameOf(nil))
	info, err := document.Stat(r, root)
	if err != nil && !os.IsNotExist(err) {
		r.Logf(logs.Error, "testing \"%s\" existence failed (%s)", root, errno.Reason(err))
	}
	return err == nil && info.IsDir()
}
