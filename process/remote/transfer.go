package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"starling/process/arguments"
)

// importWorkers is how many pairs are written at once: a zone with a state file waits for the disk, once for all that
// wait at the same time.
const importWorkers = 16

func importCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "import ZONE FILE",
		Short: "add and change the pairs that a file has",
		Long: `Add and change the pairs that a file has: a JSON object, as "export" and NGINX Plus write it. "-" is the
standard input. A value is a string, a number, or {"value":"...","expire":MILLISECONDS}. Pairs of the zone that the file
does not have stay. The pairs before an error have been written; importing the file again is harmless.`,
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
			written, err := z.importPairs(c.Context(), in)
			if err != nil {
				return fmt.Errorf("%s: %w; pairs written before: %d", args[1], err, written)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d pairs written to zone %s\n", written, plain(z.name))
			return err
		},
	}
}

type pair struct {
	key   string
	value json.RawMessage
}

// importPairs writes the pairs of a JSON object and returns how many were written.
func (z *keyvals) importPairs(ctx context.Context, in io.Reader) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var written atomic.Int64
	var workers sync.WaitGroup
	pairs := make(chan pair)
	for range importWorkers {
		workers.Go(func() {
			for p := range pairs {
				if err := z.set(ctx, p.key, p.value); err != nil {
					cancel(fmt.Errorf("key %s: %w", plain(p.key), err)) // the first cause counts
					continue
				}
				written.Add(1)
			}
		})
	}
	err := readPairs(in, func(p pair) error {
		select {
		case pairs <- p:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(pairs)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return written.Load(), err
}

var errNotPairs = errors.New("not a JSON object of pairs")

func notPairs(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its end is missing", errNotPairs)
	}
	return fmt.Errorf("%w: %w", errNotPairs, err)
}

// readPairs reads a JSON object member by member, so that its size does not matter.
func readPairs(in io.Reader, each func(pair) error) error {
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
		if string(p.value) == "null" {
			return fmt.Errorf("key %s: null is no value; delete pairs with \"starling keyval del\"", plain(p.key))
		}
		if err := each(p); err != nil {
			return err
		}
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
