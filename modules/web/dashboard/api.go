package dashboard

import (
	"starling/admin"
	"starling/logs"
	"starling/plan"
)

// recentErrors are the last lines of the error logs.
type recentErrors struct {
	Total uint64      `json:"total"` // since the process started
	Lines []errorLine `json:"lines"` // the newest first
	Lost  uint64      `json:"lost"`  // lines that could not be written, of all log files
}

type errorLine struct {
	Number  uint64 `json:"number"`
	Time    string `json:"time"`
	Level   string `json:"level"`
	Message string `json:"message"`
}

// unsavedFiles are the files that lack what the node has in memory.
type unsavedFiles struct {
	Total int           `json:"total"`
	Files []unsavedFile `json:"files"`
}

type unsavedFile struct {
	File  string `json:"file"`
	Since string `json:"since"`
	Error string `json:"error"`
}

// resources are /starling/errors and /starling/unsaved_files. They are there without a dashboard on this node too: that
// of another one, or a program, may ask.
func resources(p *plan.Plan) []admin.Resource {
	return []admin.Resource{admin.Single{
		Path: "starling/errors", Since: 9, Get: func(*admin.Call) any { return recent(p.Logs) },
		Metrics: []admin.Metric{
			admin.Counter("starling_log_lines_lost_total", "lost", "Lines of log files that could not be written."),
		},
	}.Resource(), admin.Single{
		Path: "starling/unsaved_files", Since: 9, Get: func(*admin.Call) any { return unsaved(p) },
		Metrics: []admin.Metric{
			admin.Gauge("starling_unsaved_files", "total", "State files that cannot be written."),
		},
	}.Resource()}
}

func unsaved(p *plan.Plan) unsavedFiles {
	out := unsavedFiles{Files: []unsavedFile{}}
	for _, f := range p.UnsavedFiles() {
		out.Files = append(out.Files, unsavedFile{f.Path, admin.Timestamp(f.Since), f.Why.Error()})
	}
	out.Total = len(out.Files)
	return out
}

func recent(l *logs.Logs) recentErrors {
	lines, total := l.Recent()
	out := recentErrors{Total: total, Lines: []errorLine{}, Lost: l.Lost()}
	for _, line := range lines {
		out.Lines = append(out.Lines, errorLine{
			Number: line.Number, Time: admin.Timestamp(line.At), Level: line.Level.String(), Message: line.Text,
		})
	}
	return out
}
