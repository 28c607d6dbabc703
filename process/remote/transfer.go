package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"starling/lib/plural"
	"starling/process/arguments"
)

// maxImportBytes bounds a file that is imported: it is read whole before the first pair is written. Zones are in memory
// too, and few are as large.
const maxImportBytes = 1 << 30

func importCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "import ZONE FILE",
		Short: "add and change the pairs that a file has",
		Long: `Add and change the pairs that a file has: a JSON object, as "export" and NGINX Plus write it. "-" is the
standard input. A value is a string, a number, or {"value":"...","expire":MILLISECONDS}. Pairs of the zone that the file
does not have stay. The whole file is read first: a mistake in it changes nothing. Then the pairs are written in the order
of the file, and the first error ends that; importing the file again is harmless.`,
		Args: arguments.Exactly("ZONE", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			in := c.InOrStdin()
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			z, err := a.keyvals(c.Context(), args[0])
			if err != nil {
				return err
			}
			pairs, err := readAllPairs(in, maxImportBytes)
			if err != nil {
				return fmt.Errorf("%s: %w; nothing was written", args[1], err)
			}
			progress := newProgress(c.ErrOrStderr(), len(pairs))
			written, err := z.importPairs(c.Context(), pairs, progress.show)
			progress.end()
			if err != nil {
				return fmt.Errorf("%s: %w; pairs written before: %d", args[1], err, written)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s written to zone %s\n", plural.Of(written, "pair", "pairs"),
				plain(z.name))
			return err
		},
	}
}

type pair struct {
	key   string
	value json.RawMessage
}

// importPairs writes pairs in their order until one fails, and returns how many were written. Each request is finished
// even if the user interrupts: otherwise nobody would know whether its pair was written.
func (z *keyvals) importPairs(ctx context.Context, pairs []pair, show func(written int)) (written int, err error) {
	finish := context.WithoutCancel(ctx)
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		if err := z.set(finish, p.key, p.value); err != nil {
			return written, fmt.Errorf("key %s: %w", plain(p.key), err)
		}
		written++
		show(written)
	}
	return written, nil
}

// progress is a line on a terminal that says how much of a long import is done.
type progress struct {
	out   io.Writer // nil: no terminal
	total int
	next  time.Time // of the line
	shown bool
}

// progressEvery is how often the line changes, and how long an import takes that has one.
const progressEvery = time.Second

func newProgress(w io.Writer, total int) *progress {
	p := &progress{total: total, next: time.Now().Add(progressEvery)}
	if f, isTerminal := isTerminal(w); isTerminal {
		p.out = f
	}
	return p
}

func (p *progress) show(written int) {
	now := time.Now()
	if p.out == nil || now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(progressEvery), true
	fmt.Fprintf(p.out, "\r%d of %d pairs written%s", written, p.total, restOfLine)
}

// end removes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r"+restOfLine)
	}
}

var errNotPairs = errors.New("not a JSON object of pairs")

func notPairs(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its end is missing", errNotPairs)
	}
	return fmt.Errorf("%w: %w", errNotPairs, err)
}

// readAllPairs reads a JSON object of at most so many bytes.
func readAllPairs(in io.Reader, most int64) ([]pair, error) {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > most:
		return nil, fmt.Errorf("more than %d bytes: split it into several files", most)
	case !utf8.Valid(text): // the decoder would replace the bytes, and other keys would be written
		return nil, fmt.Errorf("%w: it is not UTF-8", errNotPairs)
	}
	var pairs []pair
	err = readPairs(bytes.NewReader(text), func(p pair) { pairs = append(pairs, p) })
	return pairs, err
}

// readPairs reads a JSON object member by member: the order counts.
func readPairs(in io.Reader, each func(pair)) error {
	d := json.NewDecoder(in)
	if t, err := d.Token(); err != nil {
		return notPairs(err)
	} else if t != json.Delim('{') {
		return errNotPairs
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return notPairs(err)
		}
		p := pair{key: name.(string)} // the decoder accepts no other names
		if err := d.Decode(&p.value); err != nil {
			return fmt.Errorf("key %s: %w", plain(p.key), notPairs(err))
		}
		switch p.value[0] {
		case 'n':
			return fmt.Errorf("key %s: null is no value; delete pairs with \"starling keyval del\"", plain(p.key))
		case '[', 't', 'f':
			return fmt.Errorf("key %s: a value must be a string, a number, or "+
				"{\"value\":\"...\",\"expire\":MILLISECONDS}", plain(p.key))
		}
		each(p)
	}
	if _, err := d.Token(); err != nil {
		return notPairs(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", errNotPairs)
	}
	return nil
}

func exportCommand(a *access) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "export ZONE",
		Short: "write the pairs of a zone as JSON",
		Args:  arguments.Exactly("ZONE"),
		RunE: func(c *cobra.Command, args []string) error {
			z, err := a.keyvals(c.Context(), args[0])
			if err != nil {
				return err
			}
			if path == "" {
				return z.export(c.Context(), c.OutOrStdout())
			}
			file, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
			if err != nil {
				return err
			}
			if err := z.export(c.Context(), file); err != nil {
				return errors.Join(err, file.Cleanup())
			}
			return file.CloseAtomicallyReplace()
		},
	}
	c.Flags().StringVar(&path, "file", "", "`file` to write, which is replaced when all is there (default: the "+
		"standard output)")
	return c
}

// export copies the answer of the API. One that is cut off is an error: the end of the answer is missing then.
func (z *keyvals) export(ctx context.Context, w io.Writer) error {
	body, err := z.open(ctx, "GET", nil, []string{z.side, "keyvals", z.name})
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("zone %s is incomplete: %w", plain(z.name), err)
	}
	_, err = io.WriteString(w, "\n")
	return err
}
