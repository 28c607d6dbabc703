// Package sidetest has a subject for tests of the common part.
package sidetest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"

	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// Subject stands for a request or a session.
type Subject struct {
	side.State
	Values map[string]string // of $v_NAME
	Addr   netip.Addr
	Lines  []string // what was logged

	plan *plan.Plan
}

// Side is the side of subjects. Its blocks stand on the main level.
var Side = side.Side[*Subject]{Name: "test", Many: "subjects", Block: conf.Main}

// Declare declares $v_NAME and $1 to $9 in a configuration.
func Declare(p *plan.Plan) error {
	all := append(side.CaptureVariables[*Subject](), vars.Variable[*Subject]{Name: "v_", Prefix: true,
		Append: func(s *Subject, name string, dst []byte) ([]byte, bool) {
			value, found := s.Values[name]
			return append(dst, value...), found
		}})
	for _, v := range all {
		if err := Side.Variables(p).Declare(v); err != nil {
			return err
		}
	}
	return nil
}

// Begin makes a bound configuration serve the subject.
func (s *Subject) Begin(p *plan.Plan, slots int) {
	s.plan = p
	s.Reserve(slots)
}

// New makes a subject of Side.
func New(p *plan.Plan, values map[string]string) *Subject {
	s := &Subject{Values: values}
	s.Begin(p, Side.Slots(p))
	return s
}

// Copy keeps bytes.
func (s *Subject) Copy(b []byte) []byte { return bytes.Clone(b) }

// Client is Addr.
func (s *Subject) Client() netip.Addr { return s.Addr }

// Plan is that of New.
func (s *Subject) Plan() *plan.Plan { return s.plan }

// Now reads the clocks of the configuration.
func (s *Subject) Now() clock.Reading { return s.plan.Clock.Now() }

// Context never ends.
func (s *Subject) Context() context.Context { return context.Background() }

// Logf keeps a line of any level in Lines.
func (s *Subject) Logf(_ logs.Level, format string, args ...any) {
	s.Lines = append(s.Lines, fmt.Sprintf(format, args...))
}
