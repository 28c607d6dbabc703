package logs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// recentLines is how many lines of the error logs are kept for the API: a page of them, in at most 400 KB.
const recentLines = 200

// Line is a line of an error log. Lines are numbered from 1 on.
type Line struct {
	Number uint64
	At     time.Time
	Level  Level
	Text   string
}

// recent keeps the last lines that are warnings or worse. The memory of a line is used again, so that a storm of errors
// allocates nothing.
type recent struct {
	mu    sync.Mutex
	total uint64
	lines [recentLines]keptLine
}

type keptLine struct {
	at    time.Time
	level Level
	text  []byte // or a line of JSON, if no log got the text
}

func (r *recent) add(at time.Time, level Level, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &r.lines[r.total%recentLines]
	r.total++
	l.at, l.level, l.text = at, level, append(l.text[:0], text...)
}

// Recent returns the last lines of all error logs of the process that are warnings or worse, the newest first, and how
// many there were in all.
func (l *Logs) Recent() (lines []Line, total uint64) {
	r := &l.files.recent
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := r.total; n > 0 && n+recentLines > r.total; n-- {
		kept := &r.lines[(n-1)%recentLines]
		lines = append(lines, Line{Number: n, At: kept.at, Level: kept.level, Text: plainText(kept.text)})
	}
	return lines, r.total
}

// plainText is the message of a kept line with its context, in the words of nginx's form.
func plainText(kept []byte) string {
	var fields map[string]any
	if len(kept) == 0 || kept[0] != '{' || json.Unmarshal(kept, &fields) != nil {
		return string(kept)
	}
	text, isLine := fields["message"].(string)
	if !isLine {
		return string(kept) // a message that is JSON itself
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if value, isText := fields[name].(string); isText && name != "message" && name != "time" && name != "level" {
			text += ", " + strings.ReplaceAll(name, "_", " ") + ": " + value
		}
	}
	return text
}
