package forward_test

import (
	"reflect"
	"testing"
	"time"

	"starling/web/cache"
	"starling/web/forward"
)

// Each parameter of PREFIX_cache_path sets what its name says, and nothing else.
func TestCacheParameters(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		set  func(s *cache.Settings)
	}{
		"levels":            {"1:2", func(s *cache.Settings) { s.Levels = []int{1, 2} }},
		"inactive":          {"3m", func(s *cache.Settings) { s.Inactive = 3 * time.Minute }},
		"max_size":          {"2g", func(s *cache.Settings) { s.MaxBytes = 2 << 30 }},
		"min_free":          {"5m", func(s *cache.Settings) { s.MinFree = 5 << 20 }},
		"loader_files":      {"7", func(s *cache.Settings) { s.Loader.Files = 7 }},
		"loader_sleep":      {"70ms", func(s *cache.Settings) { s.Loader.Sleep = 70 * time.Millisecond }},
		"loader_threshold":  {"2s", func(s *cache.Settings) { s.Loader.Threshold = 2 * time.Second }},
		"manager_files":     {"8", func(s *cache.Settings) { s.Manager.Files = 8 }},
		"manager_sleep":     {"80ms", func(s *cache.Settings) { s.Manager.Sleep = 80 * time.Millisecond }},
		"manager_threshold": {"3s", func(s *cache.Settings) { s.Manager.Threshold = 3 * time.Second }},
		"purger":            {"on", func(s *cache.Settings) { s.Purges = true }},
		"purger_files":      {"9", func(s *cache.Settings) { s.Purger.Files = 9 }},
		"purger_sleep":      {"90ms", func(s *cache.Settings) { s.Purger.Sleep = 90 * time.Millisecond }},
		"purger_threshold":  {"4s", func(s *cache.Settings) { s.Purger.Threshold = 4 * time.Second }},
	} {
		want := cache.DefaultSettings()
		c.set(&want)
		if got, err := forward.CacheSettings(map[string]string{name: c.text}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s=%s: %+v, %v", name, c.text, got, err)
		}
	}
}
