package logs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Lines go to a file that is kept open although its path was moved away, if it was used often enough and lately.
func TestFilesAreKeptOpen(t *testing.T) {
	const long = time.Hour
	for _, c := range []struct {
		name    string
		options CacheOptions
		want    string // what is in a, which is moved away after two lines, when a third was written
	}{
		{"off", CacheOptions{}, "12"},
		{"kept", CacheOptions{Max: 2, MinUses: 2, Inactive: long, Valid: long}, "123"},
		{"not used enough", CacheOptions{Max: 2, MinUses: 3, Inactive: long, Valid: long}, "12"},
		{"looked at again", CacheOptions{Max: 2, MinUses: 1, Inactive: long, Valid: 0}, "12"},
		{"unused for too long", CacheOptions{Max: 2, MinUses: 1, Inactive: 0, Valid: long}, "12"},
		{"others were used", CacheOptions{Max: 1, MinUses: 1, Inactive: long, Valid: long}, "12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			logs := NewFiles("x").Logs()
			defer logs.Close()
			cache := logs.FileCache(c.options)
			write := func(name, text string) {
				t.Helper()
				if _, err := cache.Append(filepath.Join(dir, name), []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			write("a", "1")
			write("a", "2")
			write("b", "x")
			if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "moved")); err != nil {
				t.Fatal(err)
			}
			if _, err := cache.Append(filepath.Join(dir, "missing", "x"), []byte("x")); err == nil {
				t.Error("a file in no folder was opened")
			}
			write("a", "3")
			if got, err := os.ReadFile(filepath.Join(dir, "moved")); err != nil || string(got) != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	cache := NewFiles("x").Logs().FileCache(CacheOptions{})
	level, err := cache.Append("/nowhere/x", []byte("x"))
	if err == nil || level != Crit || err.Error() != `open() "/nowhere/x" failed (2: No such file or directory)` {
		t.Errorf("%v: %v", level, err)
	}
}
