package process

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"starling/conf"
	"starling/cycle"
	"starling/lib/plural"
	"starling/process/arguments"
)

// The states of a directive, in the order of the table.
const (
	stateWrong       = "error"
	stateUnknown     = "unknown"
	stateUnsupported = "not supported"
	stateNotHere     = "not here"
	stateWarning     = "warning"
	stateNoEffect    = "no effect"
	stateRuns        = "runs"
)

var states = []string{stateWrong, stateUnknown, stateUnsupported, stateNotHere, stateWarning, stateNoEffect, stateRuns}

// finding is a line of the table: a statement about one or more places.
type finding struct {
	State string `json:"state"`
	// Name is the directive, parameter or variable.
	Name   string   `json:"name"`
	Places []string `json:"places,omitempty"` // file:line
	Count  int      `json:"count"`
	Reason string   `json:"reason,omitempty"`
	// Instead says what to do.
	Instead string `json:"instead,omitempty"`
}

// checkReport is check's report on a configuration.
type checkReport struct {
	File string `json:"file"`
	// Runs means that starling accepts the configuration, as far as can be checked without its certificates and names.
	Runs     bool           `json:"runs"`
	Files    []string       `json:"files"`
	Counts   map[string]int `json:"counts"` // directives and variables by state
	Findings []finding      `json:"findings"`
}

func checkCommand() *cobra.Command {
	var asJSON bool
	var prefix, globals string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "show which directives of a configuration run, have no effect, or are not supported",
		Long: `Read an nginx configuration with all its includes and show a table: the directives that starling runs, those that it
accepts without effect, and those that it does not support, with alternatives. The command opens only the configuration.
Certificates, log folders and DNS names need not exist; "starling -t" checks those, too.

The exit status is 0 if starling runs the configuration, 1 if it does not, and 2 if the command line is invalid.`,
		Args: arguments.Exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			f := flags{prefix: prefix, conf: path, globals: globals}
			o, err := f.options()
			if err != nil {
				return err
			}
			found, err := cycle.Check(o)
			if err != nil {
				return err
			}
			r := newCheckReport(path, found)
			if asJSON {
				err = r.writeJSON(c.OutOrStdout())
			} else {
				err = r.writeTable(c.OutOrStdout())
			}
			if err == nil && !r.Runs {
				return exitStatus(statusFailed)
			}
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().StringVar(&prefix, "prefix", DefaultPrefix, "`prefix` of relative paths, as -p of starling")
	c.Flags().StringVar(&globals, "globals", "", "global `directives`, as -g of starling")
	return c
}

func newCheckReport(path string, found *cycle.Findings) *checkReport {
	r := &checkReport{
		File: path, Runs: !slices.ContainsFunc(found.Problems, stops), Counts: map[string]int{}, Findings: []finding{},
	}
	for _, f := range found.Tree.Files {
		r.Files = append(r.Files, f.Path)
	}
	spoken := map[string]bool{}
	add := func(file string, line int, f finding) {
		place := file
		if line > 0 {
			place = fmt.Sprintf("%s:%d", file, line)
		}
		spoken[place] = true
		r.add(place, f)
	}
	for _, p := range found.Problems {
		add(p.File, p.Line, ofProblem(p, found.Tree))
	}
	for _, w := range found.Warnings {
		add(w.File, w.Line, finding{State: stateWarning, Name: nameAt(found.Tree.Nodes, w), Reason: w.What})
	}
	for _, i := range found.Ignored {
		add(i.Node.File, i.Node.Line, finding{State: stateNoEffect, Name: i.Node.Name, Reason: i.Why})
	}
	r.countRunning(found.Tree.Nodes, spoken)
	slices.SortStableFunc(r.Findings, func(a, b finding) int {
		return slices.Index(states, a.State) - slices.Index(states, b.State)
	})
	return r
}

// stops reports whether a problem would keep starling from running on a machine that has what this one lacks.
func stops(p *conf.Problem) bool { return p.Kind != conf.NotHere }

// add merges equal statements about several places into one line.
func (r *checkReport) add(place string, f finding) {
	r.Counts[f.State]++
	for i := range r.Findings {
		other := &r.Findings[i]
		if other.State == f.State && other.Name == f.Name && other.Reason == f.Reason {
			other.Count++
			if !slices.Contains(other.Places, place) {
				other.Places = append(other.Places, place)
			}
			return
		}
	}
	f.Count = 1
	if place != "" {
		f.Places = []string{place}
	}
	r.Findings = append(r.Findings, f)
}

// ofProblem sorts a problem in and says what to do about it.
func ofProblem(p *conf.Problem, tree *conf.Tree) finding {
	f := finding{Name: cmp.Or(p.Name, nameAt(tree.Nodes, p)), Reason: (&conf.Problem{What: p.What}).Error()}
	switch p.Kind {
	case conf.NotSupported:
		f.State, f.Instead = stateUnsupported, advice(p)
	case conf.UnknownWord:
		f.State = stateUnknown
		f.Instead = cmp.Or(advice(p), "nginx does not know it either")
	case conf.NotHere:
		f.State, f.Instead = stateNotHere, "it must be there where starling runs"
	default:
		f.State = stateWrong
	}
	return f
}

// nameAt is the directive at the place of a problem, "" if there is none.
func nameAt(nodes []*conf.Node, p *conf.Problem) string {
	for _, n := range nodes {
		if n.File == p.File && n.Line == p.Line {
			return n.Name
		}
		if name := nameAt(n.Block, p); name != "" {
			return name
		}
	}
	return ""
}

// countRunning counts the directives without any other statement.
func (r *checkReport) countRunning(nodes []*conf.Node, spoken map[string]bool) {
	counts := map[string]int{}
	var order []string
	var walk func([]*conf.Node)
	walk = func(nodes []*conf.Node) {
		for _, n := range nodes {
			place := fmt.Sprintf("%s:%d", n.File, n.Line)
			if spoken[place] && r.says(n.Name, place) {
				if n.Opens && cycle.HoldsDirectives(n.Name) {
					walk(n.Block)
				}
				continue
			}
			if counts[n.Name]++; counts[n.Name] == 1 {
				order = append(order, n.Name)
			}
			if cycle.HoldsDirectives(n.Name) {
				walk(n.Block) // those of other blocks are no directives
			}
		}
	}
	walk(nodes)
	slices.Sort(order)
	for _, name := range order {
		r.Counts[stateRuns] += counts[name]
		r.Findings = append(r.Findings, finding{State: stateRuns, Name: name, Count: counts[name]})
	}
}

// says reports whether there is a statement about the directive at a place, which may share its line with others.
func (r *checkReport) says(name, place string) bool {
	return slices.ContainsFunc(r.Findings, func(f finding) bool {
		return f.State != stateWarning && slices.Contains(f.Places, place) &&
			(f.Name == name || !isDirective(f.Name) && !cycle.HoldsDirectives(name))
	})
}

func isDirective(name string) bool {
	return slices.ContainsFunc(conf.KnownDirectives(), func(k conf.KnownDirective) bool { return k.Name == name })
}

func (r *checkReport) writeJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

// legible replaces bytes of a file that is not a configuration and that would garble the terminal.
func legible(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "..."
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// placesShown is how many places the table names for one line; JSON has all.
const placesShown = 3

func (r *checkReport) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tNAME\tWHERE\tWHAT TO DO")
	for _, f := range r.Findings {
		if f.State != stateRuns {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.State, legible(f.Name), r.places(f), legible(f.advice()))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := r.writeRunning(w); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n"+r.verdict())
	return err
}

func (f *finding) advice() string {
	switch f.State {
	case stateUnsupported:
		// Where only some arguments are not supported, those are shown too.
		if shown := quotedIn(f.Reason); shown != f.Name && strings.HasPrefix(shown, f.Name+" ") {
			return shown + ": " + f.Instead
		}
		return f.Instead
	case stateNotHere:
		return f.Reason + ": " + f.Instead
	case stateNoEffect:
		return "nothing: " + f.Reason
	case stateUnknown:
		return f.Instead
	}
	return f.Reason
}

// quotedIn is the first text in quotes.
func quotedIn(text string) string {
	_, rest, _ := strings.Cut(text, "\"")
	text, _, _ = strings.Cut(rest, "\"")
	return text
}

// places names files as they lie below the folder of the main one.
func (r *checkReport) places(f finding) string {
	var shown []string
	for i, place := range f.Places {
		if i == placesShown {
			shown = append(shown, fmt.Sprintf("and %d more", len(f.Places)-i))
			break
		}
		shown = append(shown, strings.TrimPrefix(place, filepath.Dir(r.File)+string(os.PathSeparator)))
	}
	return strings.Join(shown, ", ")
}

// runningWidth is where lines of the directives that run end.
const runningWidth = 100

func (r *checkReport) writeRunning(w io.Writer) error {
	line := "runs: "
	for _, f := range r.Findings {
		if f.State != stateRuns {
			continue
		}
		word := legible(f.Name)
		if f.Count > 1 {
			word += fmt.Sprintf(" (%d)", f.Count)
		}
		if len(line)+len(word) > runningWidth {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
			line = "      "
		}
		line += word + "  "
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

func (r *checkReport) verdict() string {
	var parts []string
	for _, state := range states {
		if n := r.Counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", state, n))
		}
	}
	verdict := "Starling runs it"
	if !r.Runs {
		verdict = "Starling does not run it as it is"
	}
	files := plural.Of(len(r.Files), "file", "files")
	return fmt.Sprintf("%s. Directives and variables in %s: %s.", verdict, files, strings.Join(parts, ", "))
}
