package web

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"

	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
)

// maxSpooledBytes bounds the temporary files of all requests in progress together: clients fill them, and the disk is
// shared with logs and the system. 8 GB are 8,192 uploads of the default client_max_body_size at once, and less than
// the free space of a usual server.
const maxSpooledBytes = 8 << 30

// bodySpool makes the temporary files. A process has one, which reloads keep.
type bodySpool struct {
	bytes atomic.Int64 // reserved by the files of requests in progress
	limit int64        // maxSpooledBytes, less in tests
	next  atomic.Uint64
	open  func(name string, flag int, mode os.FileMode) (*os.File, error) // os.OpenFile, but in tests
}

// spoolOf gives the plan the spool of the previous one, or creates the first.
func spoolOf(p *plan.Plan) *bodySpool {
	w := partOf(p)
	if w.spool == nil {
		w.spool = plan.Before[part](p).spool
	}
	if w.spool == nil {
		w.spool = &bodySpool{limit: maxSpooledBytes, open: os.OpenFile}
		w.spool.next.Store(uint64(rand.Uint32())) // files left by an earlier process have other numbers
	}
	return w.spool
}

// LimitBodyFiles changes the bound on temporary files before there are clients, for tests.
func LimitBodyFiles(p *plan.Plan, bytes int64) { spoolOf(p).limit = bytes }

// BodyFile is a request body in a temporary file.
type BodyFile struct {
	// Name is its path ($request_body_file); the file exists under it only with client_body_in_file_only.
	Name string
	// Size is the number of bytes written.
	Size int64

	file     *os.File
	spool    *bodySpool
	reserved int64
	named    bool // there is a directory entry
	stays    bool // which must stay when the request ends
}

// bodyFault is a body that could not be kept: the status of the response and the log entry.
type bodyFault struct {
	status int
	level  logs.Level
	text   string
}

func (f *bodyFault) Error() string { return f.text }

// failedCall formats a system call that failed on a path.
func failedCall(call, path string, err error) error {
	return fmt.Errorf("%s() \"%s\" failed (%s)", call, path, errno.Reason(err))
}

// fileFault is a failed call that leaves a request without its body.
func fileFault(err error) error {
	return &bodyFault{500, logs.Crit, err.Error() + ", cannot store the request body in client_body_temp_path"}
}

// create opens a new file. Without named it has no directory entry, so it disappears with its last user, however the
// process ends.
func (s *bodySpool) create(p *TempPath, named bool) (*BodyFile, error) {
	file, name, err := p.Create(&s.next, s.open)
	if err != nil {
		return nil, fileFault(err)
	}
	f := &BodyFile{Name: name, file: file, spool: s, named: true}
	if !named {
		if err := os.Remove(f.Name); err != nil {
			return nil, errors.Join(fileFault(failedCall("unlink", f.Name, err)), f.release())
		}
		f.named = false
	}
	return f, nil
}

// reserve reserves more bytes after those written; false if the files of the process have reached their bound.
func (f *BodyFile) reserve(more int64) bool {
	missing := f.Size + more - f.reserved
	if missing <= 0 {
		return true
	}
	if !f.spool.take(missing) {
		return false
	}
	f.reserved += missing
	return true
}

func (s *bodySpool) take(n int64) bool {
	if s.bytes.Add(n) > s.limit {
		s.bytes.Add(-n)
		return false
	}
	return true
}

func (f *BodyFile) write(p []byte) error {
	if _, err := f.file.WriteAt(p, f.Size); err != nil {
		return fileFault(failedCall("pwrite", f.Name, err))
	}
	f.Size += int64(len(p))
	return nil
}

var errFileCut = errors.New("file was truncated")

// ReadAt reads from an offset as much as there is; fewer bytes than requested end at the end of the file.
func (f *BodyFile) ReadAt(p []byte, from int64) (int, error) {
	p = p[:min(int64(len(p)), max(f.Size-from, 0))]
	n, err := f.file.ReadAt(p, from)
	if n < len(p) {
		if err == nil || err == io.EOF {
			err = errFileCut
		}
		return n, &bodyFault{
			500,
			logs.Crit,
			failedCall("pread", f.Name, err).Error() + ", cannot reread the request body",
		}
	}
	return n, nil
}

// release closes the file and removes it if it has a name that must not stay.
func (f *BodyFile) release() error {
	f.spool.bytes.Add(-f.reserved)
	f.reserved = 0
	err := f.file.Close()
	if f.named && !f.stays {
		err = errors.Join(err, os.Remove(f.Name))
	}
	return err
}
