// Package cache stores responses in files, with an index in memory. It knows neither requests nor protocols:
// web/forward asks it before it asks a server. DESIGN.md describes the files, the index and what a crash leaves.
package cache

import (
	"time"
)

// Settings are the parameters of PREFIX_cache_path.
type Settings struct {
	Name     string // of the zone
	Path     string // absolute, without a trailing slash
	Levels   []int  // digits in the names of the folders on each level
	KeyBytes int64  // memory for the index
	Inactive time.Duration
	MaxBytes int64 // 0: no limit
	MinFree  int64 // 0: not checked

	Loader, Manager, Purger Pace
	// Purges means that responses that a wildcard purge covers are removed in the background, not only when they are
	// asked for.
	Purges bool
}

// Pace is how background work takes turns with requests: after so many files, or after so long, it sleeps.
type Pace struct {
	Files            int
	Sleep, Threshold time.Duration
}

// DefaultSettings are nginx's.
func DefaultSettings() Settings {
	return Settings{
		Inactive: 10 * time.Minute,
		Loader:   Pace{100, 50 * time.Millisecond, 200 * time.Millisecond},
		Manager:  Pace{100, 50 * time.Millisecond, 200 * time.Millisecond},
		Purger:   Pace{10, 50 * time.Millisecond, 50 * time.Millisecond},
	}
}

// entryBytes is what a key costs in the index: an entry is 104 bytes, its place in the map about 30. It is nginx's size
// too, so that a zone holds as many keys: 8,000 per megabyte.
const entryBytes = 128

// maxEntries is how many keys the memory of the zone holds.
func (s *Settings) maxEntries() int { return int(s.KeyBytes / entryBytes) }
