package plan_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"starling/plan"
)

// TestAStartThatFailsIsUndone: in reverse order, and only what was done; once a configuration runs there is no way back.
func TestAStartThatFailsIsUndone(t *testing.T) {
	for _, c := range []struct {
		fails error
		want  []string
	}{{errors.New("the last step fails"), []string{"two", "one"}}, {nil, nil}} {
		p, undone := plan.New(), []string(nil)
		for _, name := range []string{"one", "two"} {
			p.OnStart(func(context.Context) error {
				p.OnUndo(func() { undone = append(undone, name) })
				return nil
			})
		}
		p.OnStart(func(context.Context) error { return c.fails })
		if err := p.Start(t.Context()); !errors.Is(err, c.fails) {
			t.Fatal(err)
		}
		p.Retire()
		if !slices.Equal(undone, c.want) {
			t.Errorf("with error %v: undid %q, want %q", c.fails, undone, c.want)
		}
	}
}
