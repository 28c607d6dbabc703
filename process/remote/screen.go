package remote

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// The control sequences of ECMA-48 and xterm that every terminal of today knows.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l" // a screen of its own, without cursor
	firstScreen = "\x1b[?25h\x1b[?1049l"
	toStart     = "\x1b[H"
	restOfLine  = "\x1b[K"
	restOfPage  = "\x1b[J"
)

// screen is a terminal on which pages replace each other. Nil prints them one after the other.
type screen struct {
	out    *os.File
	keys   *os.File
	before *term.State // of keys; nil if the standard input is no terminal
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) (*os.File, bool) {
	f, isFile := w.(*os.File)
	return f, isFile && term.IsTerminal(int(f.Fd()))
}

// forTerminal quotes a text that could control the terminal; programs get it as it is.
func forTerminal(w io.Writer, text string) string {
	if _, isTerminal := isTerminal(w); isTerminal {
		return plain(text)
	}
	return text
}

// openScreen takes the terminal if the output is one; quit is called when the user types q.
func openScreen(w io.Writer, quit func()) (*screen, error) {
	out, isTerminal := isTerminal(w)
	if name := os.Getenv("TERM"); !isTerminal || name == "" || name == "dumb" {
		return nil, nil
	}
	s := &screen{out: out, keys: os.Stdin}
	if term.IsTerminal(int(s.keys.Fd())) {
		before, err := term.MakeRaw(int(s.keys.Fd()))
		if err != nil {
			return nil, fmt.Errorf("the terminal cannot be read key by key: %w", err)
		}
		s.before = before
		go s.waitForQuit(quit)
	}
	if _, err := out.WriteString(otherScreen); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// waitForQuit reads keys until one of them ends the program, or the process ends. Ctrl-C is a key of a raw terminal.
func (s *screen) waitForQuit(quit func()) {
	const ctrlC, ctrlD = 3, 4
	var key [1]byte
	for {
		if n, err := s.keys.Read(key[:]); n == 0 || err != nil {
			return
		}
		switch key[0] {
		case 'q', 'Q', ctrlC, ctrlD:
			quit()
			return
		}
	}
}

// show replaces the page. The lines of a raw terminal end with CR LF.
func (s *screen) show(w io.Writer, text string) error {
	if s == nil {
		_, err := io.WriteString(w, text+"\n")
		return err
	}
	columns, rows, err := term.GetSize(int(s.out.Fd()))
	if err != nil {
		columns, rows = 0, 0 // nothing is cropped
	}
	page := strings.ReplaceAll(crop(text+"\nq: quit", columns, rows), "\n", restOfLine+"\r\n")
	_, err = s.out.WriteString(toStart + page + restOfLine + restOfPage)
	return err
}

// close gives the terminal back.
func (s *screen) close() {
	if s == nil {
		return
	}
	_, _ = s.out.WriteString(firstScreen) // the terminal may be gone
	if s.before != nil {
		_ = term.Restore(int(s.keys.Fd()), s.before) // as above
	}
}
