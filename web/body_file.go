package web

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"starling/conf"
	"starling/lib/owner"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
)

// maxSpooledBytes bounds the temporary files of all requests in progress together: clients fill them, and the disk is
// shared with logs and the system. 8 GB are 8,192 uploads of the default client_max_body_size at once, and less than
// the free space of a usual server.
const maxSpooledBytes = 8 << 30

// BodyPath is client_body_temp_path: a directory, and the number of digits in the names of the directories on each
// level below it.
type BodyPath struct {
	Dir    string
	Levels []int
	Node   *conf.Node // without a file: the default
}

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

// maxNameTries bounds the search for a number not used by an old file.
const maxNameTries = 16

// create opens a new file. Without named it has no directory entry, so it disappears with its last user, however the
// process ends.
func (s *bodySpool) create(p *BodyPath, named bool) (*BodyFile, error) {
	name := p.name(s.next.Add(1))
	for try := 1; ; try++ {
		file, err := s.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist) && try < maxNameTries:
			if err := p.makeFolders(filepath.Dir(name)); err != nil {
				return nil, fileFault(err)
			}
			continue
		case errors.Is(err, fs.ErrExist) && try < maxNameTries:
			s.next.Store(uint64(rand.Uint32()))
			name = p.name(s.next.Add(1))
			continue
		default:
			return nil, fileFault(failedCall("open", name, err))
		}
		f := &BodyFile{Name: name, file: file, spool: s, named: true}
		if !named {
			if err := os.Remove(name); err != nil {
				return nil, errors.Join(fileFault(failedCall("unlink", name, err)), f.release())
			}
			f.named = false
		}
		return f, nil
	}
}

// name is nginx's: ten digits, below directories named by the last of them.
func (p *BodyPath) name(number uint64) string {
	digits := fmt.Sprintf("%010d", number%1e10)
	path, end := p.Dir, len(digits)
	for _, n := range p.Levels {
		path = filepath.Join(path, digits[end-n:end])
		end -= n
	}
	return filepath.Join(path, digits)
}

// makeFolders makes the directory and those below it down to dir. Its parent must exist, as in nginx.
func (p *BodyPath) makeFolders(dir string) error {
	below := strings.TrimPrefix(strings.TrimPrefix(dir, p.Dir), "/")
	path := p.Dir
	for _, name := range append([]string{""}, strings.Split(below, "/")...) {
		path = filepath.Join(path, name)
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return failedCall("mkdir", path, err)
		}
	}
	return nil
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

// KeepsBodies declares that the block's content handler calls KeepBody: the directory for bodies that do not fit into
// memory is created before the first request.
func (b *Block) KeepsBodies() {
	core := b.Current.Core
	w := partOf(b.Plan)
	if slices.ContainsFunc(w.bodyDirs, func(p *BodyPath) bool { return p.Dir == core.BodyPath.Dir }) {
		return
	}
	w.bodyDirs = append(w.bodyDirs, &core.BodyPath)
}

// makeBodyDirs makes the configured directories. The default one is needed only when a large body arrives, so a failure
// is only logged.
func makeBodyDirs(p *plan.Plan) error {
	for _, path := range partOf(p).bodyDirs {
		err := path.makeFolders(path.Dir)
		switch {
		case err == nil:
		case path.Node.File != "":
			return conf.At(path.Node, "%s", err)
		default:
			p.Log.Logf(logs.Error, "%v; requests with bodies larger than client_body_buffer_size will fail with 500",
				err)
		}
	}
	return nil
}

// giveBodyDirs changes the owner of the directories of request bodies to the user that the process will become, with
// those below, which a process that stayed root has made.
func giveBodyDirs(p *plan.Plan, uid, gid int) (errs []error) {
	for _, path := range partOf(p).bodyDirs {
		owner.GiveFolders(path.Dir, path.Levels, uid, gid, func(dir string, err error) {
			errs = append(errs, failedCall("chown", dir, err))
		})
	}
	return errs
}
