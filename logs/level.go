package logs

// Level is the severity of a line of the error log, in nginx's order.
type Level int

// The levels of error_log, the most severe first.
const (
	Emerg Level = iota
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug
)

var levelNames = [...]string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel finds a level by the name used in error_log.
func ParseLevel(name string) (Level, bool) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), true
		}
	}
	return 0, false
}

// Logger writes lines to the error log. A nil Logger is not usable; see Discard.
type Logger interface {
	// Logf writes one line at a level; the implementation adds time, level and process.
	Logf(level Level, format string, args ...any)
	// Enabled reports whether a line of that level would be written, so that callers can avoid the work.
	Enabled(level Level) bool
}

// Discard is a Logger that writes nothing.
var Discard Logger = discard{}

type discard struct{}

func (discard) Logf(Level, string, ...any) {}
func (discard) Enabled(Level) bool         { return false }
