package keyval

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"starling/admin"
	"starling/lib/plural"
	"starling/logs"
	"starling/plan"
)

// reportEvery is how often the log tells how far the loading of a state file is.
const reportEvery = 5 * time.Second

// lookEvery is how many records are loaded between two looks at the clock: a few milliseconds.
const lookEvery = 4096

// loading tells the log, and the API, how far a state file is that takes long to load. At the first start only the log
// tells it: a node accepts clients after it has loaded its state. During a reload, the previous configuration answers.
type loading struct {
	log             logs.Logger
	now             func() time.Time
	path            string
	began, reported time.Time
	records, bytes  int64

	mu   sync.Mutex
	told loadReport
}

// loadReport is one state file in the API.
type loadReport struct {
	File       string `json:"file"`
	Loading    bool   `json:"loading"`
	Records    int64  `json:"records"`
	BytesRead  int64  `json:"bytes_read"`
	BytesTotal int64  `json:"bytes_total"`
	ElapsedMS  int64  `json:"elapsed_ms"`
}

func newLoading(log logs.Logger, path string, bytes int64, now func() time.Time) *loading {
	began := now()
	return &loading{log: log, now: now, path: path, began: began, reported: began,
		told: loadReport{File: path, Loading: true, BytesTotal: bytes}}
}

// loaded counts a record.
func (l *loading) loaded(bytes int) {
	l.records++
	l.bytes += int64(bytes)
	if l.records%lookEvery != 0 {
		return
	}
	now := l.now()
	r := l.tell(now, true)
	if now.Sub(l.reported) < reportEvery {
		return
	}
	l.reported = now
	l.log.Logf(logs.Notice, "loading state file \"%s\": %s so far, %d of %d MB", l.path,
		plural.Of(r.Records, "record", "records"), r.BytesRead>>mbBits, r.BytesTotal>>mbBits)
}

// ended tells how long it took; the log only if the beginning was told.
func (l *loading) ended() {
	now := l.now()
	r := l.tell(now, false)
	if l.reported != l.began {
		l.log.Logf(logs.Notice, "loaded state file \"%s\": %s in %d s", l.path,
			plural.Of(r.Records, "record", "records"), int(now.Sub(l.began)/time.Second))
	}
}

// tell changes the report.
func (l *loading) tell(now time.Time, loading bool) loadReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.told
	r.Loading, r.Records, r.BytesRead, r.ElapsedMS = loading, l.records, l.bytes, now.Sub(l.began).Milliseconds()
	return *r
}

// report is the state that was told last.
func (l *loading) report() loadReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

const mbBits = 20

// loads are the state files that a process is loading. All configurations of the process share it, so that the running
// one tells how far the next one is.
type loads struct {
	mu      sync.Mutex
	running map[*loading]bool
}

func (l *loads) begin(one *loading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running = map[*loading]bool{}
	}
	l.running[one] = true
}

func (l *loads) end(one *loading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, one)
}

// loadReports are the state files of a configuration, and those that the next one is loading.
type loadReports struct {
	StateFiles []loadReport `json:"state_files"`
}

func (s *stores) reports() loadReports {
	out := loadReports{StateFiles: []loadReport{}}
	for _, one := range s.byPath {
		if last := one.lastLoad.Load(); last != nil {
			out.StateFiles = append(out.StateFiles, last.report())
		}
	}
	s.loads.mu.Lock()
	for one := range s.loads.running {
		out.StateFiles = append(out.StateFiles, one.report())
	}
	s.loads.mu.Unlock()
	slices.SortFunc(out.StateFiles, func(a, b loadReport) int { return cmp.Compare(a.File, b.File) })
	return out
}

// progressResource is /starling/state_files, for both sides.
func progressResource(p *plan.Plan) admin.Resource {
	s := storesOf(p)
	return admin.Single{
		Path: "starling/state_files", Since: 9, Get: func(*admin.Call) any { return s.reports() },
	}.Resource()
}
