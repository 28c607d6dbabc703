package authbasic

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"starling/lib/descrypt"
	"starling/lib/filekind"

	"github.com/tg123/go-htpasswd"
)

const (
	// maxFileBytes bounds a user file: a million users fit.
	maxFileBytes = 64 << 20
	// maxFiles bounds the files kept in memory: with variables a client may select among them.
	maxFiles = 256
)

// parsers are listed one by one: the library's own list treats any unknown line as a plain-text password, so that a DES
// hash would be its own password.
var parsers = []htpasswd.PasswdParser{
	acceptPlain,
	htpasswd.AcceptMd5,
	htpasswd.AcceptSha,
	htpasswd.AcceptSsha,
	htpasswd.AcceptBcrypt,
	htpasswd.AcceptCryptSha,
	acceptTraditional,
}

// traditional is a hash of the old crypt(3).
type traditional string

func (h traditional) MatchesPassword(password string) bool {
	return descrypt.Matches(string(h), password)
}

func acceptTraditional(text string) (htpasswd.EncodedPasswd, error) {
	if descrypt.IsHash(text) {
		return traditional(text), nil
	}
	return nil, nil
}

// plain is a {PLAIN} password.
type plain string

// MatchesPassword compares in constant time.
func (p plain) MatchesPassword(password string) bool {
	return subtle.ConstantTimeCompare([]byte(p), []byte(password)) == 1
}

func acceptPlain(text string) (htpasswd.EncodedPasswd, error) {
	if password, ok := strings.CutPrefix(text, "{PLAIN}"); ok {
		return plain(password), nil
	}
	return nil, nil
}

// parsePassword returns nil for an unknown scheme.
func parsePassword(text string) (htpasswd.EncodedPasswd, error) {
	for _, parse := range parsers {
		if p, err := parse(text); p != nil || err != nil {
			return p, err
		}
	}
	return nil, nil
}

// Files are the user files of one block, each kept until it changes.
type files struct {
	mu     sync.Mutex
	byPath map[string]*users
}

// users is one file as it was read.
type users struct {
	modified time.Time
	size     int64
	// passwords are texts as in the file; a line is parsed only when its user logs in.
	passwords map[string]string
}

// read returns the users of a file, and reads it again if it has changed.
func (f *files) read(path string) (*users, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	known := f.byPath[path]
	f.mu.Unlock()
	if known != nil && known.size == info.Size() && known.modified.Equal(info.ModTime()) {
		return known, nil
	}
	u, err := readUsers(path, info)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byPath == nil || len(f.byPath) >= maxFiles {
		f.byPath = map[string]*users{}
	}
	f.byPath[path] = u
	return u, nil
}

func readUsers(path string, info fs.FileInfo) (*users, error) {
	if err := filekind.Check(info.Mode()); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s: user file is larger than %d MB", path, maxFileBytes>>20)
	}
	return &users{modified: info.ModTime(), size: info.Size(), passwords: parseUsers(text)}, nil
}

// parseUsers reads lines name:password[:comment]; the first line of a name counts.
func parseUsers(text []byte) map[string]string {
	passwords := map[string]string{}
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		name, rest, found := bytes.Cut(line, []byte{':'})
		if !found || len(line) == 0 || line[0] == '#' {
			continue
		}
		password, _, _ := bytes.Cut(rest, []byte{':'})
		if _, twice := passwords[string(name)]; !twice {
			passwords[string(name)] = string(password)
		}
	}
	return passwords
}
