package process

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/google/renameio/v2"

	"starling/logs"
)

// "starling upgrade" and the process that it upgrades exchange two files beside the pid file, in the folder of the user
// who may signal the process.
const (
	requestSuffix = ".upgrade"
	resultSuffix  = ".upgraded"
	// maxRequest bounds what is read of either.
	maxRequest = 64 << 10
)

// request is what "starling upgrade" wants; the zero request is that of USR2 alone.
type request struct {
	WaitSeconds float64 `json:"wait_seconds,omitempty"`
	// Finish ends the old process when the new one serves.
	Finish bool `json:"finish,omitempty"`
}

func (r request) wait() time.Duration {
	if r.WaitSeconds <= 0 {
		return readyWithin
	}
	return time.Duration(r.WaitSeconds * float64(time.Second))
}

// result is the outcome of an upgrade.
type result struct {
	PID   int    `json:"pid,omitempty"` // of the new process, which serves
	Error string `json:"error,omitempty"`
}

// takeRequest reads the request, if there is one, and removes it.
func (s *running) takeRequest() (r request, asked bool) {
	path := s.pidPath + requestSuffix
	err := s.host.AsStarted(func() error {
		text, err := readSmall(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		return errors.Join(err, os.Remove(path))
	})
	if err != nil {
		s.host.Log().Logf(logs.Error, "upgrade: cannot read the request: %v", err)
	}
	return r, r != request{}
}

// answer writes the result, if it was asked for.
func (s *running) answer(asked bool, r result) {
	if !asked {
		return
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = s.host.AsStarted(func() error {
			return renameio.WriteFile(s.basePID()+resultSuffix, text, 0o644)
		})
	}
	if err != nil {
		s.host.Log().Logf(logs.Error, "upgrade: cannot write the result: %v", err)
	}
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRequest {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a small regular file")}
	}
	return os.ReadFile(path)
}
