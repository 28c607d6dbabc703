package keyval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"starling/lib/clock"
	"starling/lib/durable"
	"starling/lib/filekind"
	"starling/logs"
	"starling/zone/kinds"
)

// loaded is the result of the last load, for the opening of the log that follows.
type loaded struct {
	restore func(record []byte) error
	found   *kinds.Restored // by restore
	logged  durable.Found
	dropped int // pairs that had no room
}

// load reads the state without changing it, as -t may. The JSON file is used only if there is no log, because it may be
// older, or if the log is damaged. In the latter case, and if the disk damaged only the JSON file, the process starts
// with whatever can be read.
func (s *store) load(z *kinds.Keyval, log logs.Logger, all *loads) error {
	now := s.local.Now()
	name := s.path + logSuffix
	if fileBytes(name) == 0 {
		name = s.path
	}
	progress := newLoading(log, name, fileBytes(name), time.Now)
	all.begin(progress)
	defer all.end(progress)
	bytes := z.Info().Bytes
	z.Unbound()
	s.found = new(kinds.Restored)
	s.restore = restoring(z, s.found, now)
	var err error
	s.logged, err = durable.ReadFile(s.path+logSuffix, func(record []byte) error {
		progress.loaded(len(record))
		return s.restore(record)
	})
	if err == nil {
		err = s.loadRest(z, s.logged, progress, now)
	}
	progress.ended()
	if s.dropped = z.Fit(bytes, s.clock.Now()); s.dropped > 0 {
		log.Logf(logs.Warn, "state of zone \"%s\" in \"%s\" has more pairs than fit into its %d bytes: dropped the "+
			"%d oldest; a larger zone would keep them", z.Info().Name, s.path, bytes, s.dropped)
	}
	if err == nil {
		s.lastLoad.Store(progress)
	}
	return err
}

// loadRest reads the JSON file if the log does not have everything.
func (s *store) loadRest(z *kinds.Keyval, logged durable.Found, progress *loading, now clock.Reading) error {
	switch {
	case logged.Damaged > 0:
		s.salvageFailed = s.salvage(z)
		return nil
	case logged.Records > 0:
		return nil
	}
	text, err := filekind.Read(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(s.path)) // better reported by -t than too late
		return err
	}
	if err == nil && len(text) == 0 {
		return nil
	}
	if err == nil {
		err = z.LoadState(text, now)
		if damagedJSON(text, err) {
			s.salvageFailed = s.salvage(z)
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("state file \"%s\": %w", s.path, err)
	}
	progress.records, progress.bytes = int64(z.Len()), int64(len(text))
	return nil
}

// fileBytes is the size of a file, for people; 0 if it is not known.
func fileBytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// damagedJSON tells damage by a disk or a crash (the file ends early or has bytes that no text has) from a mistake of
// its author. A mistake stops the start, so that the author sees it.
func damagedJSON(text []byte, err error) bool {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return false
	}
	endsEarly := errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&json.RawMessage{}), io.ErrUnexpectedEOF)
	control := func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }
	return text[0] == '{' && endsEarly || bytes.ContainsFunc(text, control) || !utf8.Valid(text)
}

func restoring(z *kinds.Keyval, found *kinds.Restored, now clock.Reading) func(record []byte) error {
	return func(record []byte) error { return z.Restore(record, found, now) }
}

// salvage restores from the JSON file what a damaged log has lost. The file was saved at most some seconds before the
// last write.
func (s *store) salvage(z *kinds.Keyval) error {
	text, err := filekind.Read(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	return z.SalvageState(text, info.ModTime().UnixMilli(), s.local.Now())
}
