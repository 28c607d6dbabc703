package web

import (
	"errors"
	"fmt"
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
	"starling/plan"
	"starling/side"
)

// TempPath is client_body_temp_path or PREFIX_temp_path: a directory, and the number of digits in the names of the
// directories on each level below it.
type TempPath struct {
	Dir    string
	Levels []int
	Node   *conf.Node // without a file: the default
}

// maxLevelDigits is how many digits of a file's ten may name directories, as in nginx.
const maxLevelDigits = 10

// ParseTempPath parses the arguments of such a directive; byDefault is the path if the configuration has none.
func ParseTempPath(a *conf.Args, byDefault string) (p TempPath, err error) {
	of := side.PlanOf(a)
	p.Dir, p.Node = of.PrefixPath(a.Words[0]), a.Node
	if a.Node.File == "" { // the default
		p.Dir = of.PrefixPath(byDefault)
	}
	p.Levels, err = TempLevels(a.Words[1:])
	return p, err
}

// TempLevels parses the numbers of digits.
func TempLevels(words []string) (levels []int, err error) {
	digits := 0
	for _, word := range words {
		n, err := conf.Int(1, 3)(word)
		if digits += n; err != nil || digits > maxLevelDigits {
			return nil, conf.InvalidValue
		}
		levels = append(levels, n)
	}
	return levels, nil
}

// maxNameTries bounds the search for a number not used by an old file.
const maxNameTries = 16

// Create opens a new file for reading and writing, named by the next number. open is os.OpenFile, but in tests.
func (p *TempPath) Create(next *atomic.Uint64,
	open func(name string, flag int, mode os.FileMode) (*os.File, error)) (file *os.File, name string, err error) {
	name = p.name(next.Add(1))
	for try := 1; ; try++ {
		file, err := open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			return file, name, nil
		case errors.Is(err, fs.ErrNotExist) && try < maxNameTries:
			if err := p.makeFolders(filepath.Dir(name)); err != nil {
				return nil, "", err
			}
		case errors.Is(err, fs.ErrExist) && try < maxNameTries:
			next.Store(uint64(rand.Uint32()))
			name = p.name(next.Add(1))
		default:
			return nil, "", failedCall("open", name, err)
		}
	}
}

// name is nginx's: ten digits, below directories named by the last of them.
func (p *TempPath) name(number uint64) string {
	digits := fmt.Sprintf("%010d", number%1e10)
	path, end := p.Dir, len(digits)
	for _, n := range p.Levels {
		path = filepath.Join(path, digits[end-n:end])
		end -= n
	}
	return filepath.Join(path, digits)
}

// makeFolders makes the directory and those below it down to dir. Its parent must exist, as in nginx.
func (p *TempPath) makeFolders(dir string) error {
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

// tempDir is a directory to be created at the start. lacks is the consequence if that fails.
type tempDir struct {
	*TempPath
	lacks string
}

// KeepsBodies declares that the block's content handler calls KeepBody: the directory for bodies that do not fit into
// memory is created before the first request.
func (b *Block) KeepsBodies() {
	b.KeepsTempFiles(&b.Current.Core.BodyPath,
		"requests with bodies larger than client_body_buffer_size will fail with 500")
}

// KeepsTempFiles declares that the block's content handler makes temporary files there: the directory is created before
// the first request. lacks tells for the log what does not work without it.
func (b *Block) KeepsTempFiles(path *TempPath, lacks string) {
	w := partOf(b.Plan)
	if !slices.ContainsFunc(w.tempDirs, func(d tempDir) bool { return d.Dir == path.Dir }) {
		w.tempDirs = append(w.tempDirs, tempDir{path, lacks})
	}
}

// makeTempDirs makes the configured directories. A default one is needed only when a file must be made, so a failure is
// only logged.
func makeTempDirs(p *plan.Plan) error {
	for _, dir := range partOf(p).tempDirs {
		err := dir.makeFolders(dir.Dir)
		switch {
		case err == nil:
		case dir.Node.File != "":
			return conf.At(dir.Node, "%s", err)
		default:
			p.Log.Logf(logs.Error, "%v; %s", err, dir.lacks)
		}
	}
	return nil
}

// giveTempDirs changes the owner of the directories to the user that the process will become, with those below, which a
// process that stayed root has made.
func giveTempDirs(p *plan.Plan, uid, gid int) (errs []error) {
	for _, path := range partOf(p).tempDirs {
		owner.GiveFolders(path.Dir, path.Levels, uid, gid, func(dir string, err error) {
			errs = append(errs, failedCall("chown", dir, err))
		})
	}
	return errs
}
