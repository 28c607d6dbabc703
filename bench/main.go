// Command bench measures starling next to nginx and HAProxy, if these are installed, and two starling nodes next to
// each other. It prints the figures and, with -save, writes them below bench/results.
//
// bench compare runs clusters of starling and of other products, of those that are installed, and compares what their
// limits, sessions and deletes do. See docs/comparison.md.
//
// It compares CPU time per unit of work, taken in turns (one round of each, then the next round), as medians: wall time
// on a shared machine says little. The host's steal time is printed, and a run with more than 5 % of it is invalid.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// stealMax is the share of stolen processor time above which figures are invalid.
const stealMax = 0.05

// report is the saved result of one run.
type report struct {
	Date    string             `json:"date"`
	Machine string             `json:"machine"`
	Steal   float64            `json:"steal"`
	Valid   bool               `json:"valid"`
	Figures map[string]float64 `json:"figures"`
	order   []string
}

// add adds a figure; its name contains the unit.
func (r *report) add(name string, value float64) {
	r.Figures[name] = value
	r.order = append(r.order, name)
	fmt.Printf("  %-64s %12.3f\n", name, value)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "node" {
		if err := runBareNode(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench node:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "curves" {
		if err := drawCurves(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench curves:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "compare" {
		if err := compareProducts(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench compare:", err)
			os.Exit(1)
		}
		return
	}
	only := flag.String("only", "", "run only the measurements whose name contains this")
	rounds := flag.Int("rounds", 5, "rounds of each comparison")
	save := flag.Bool("save", false, "write the figures to bench/results/DATE.json")
	before := flag.String("before", "", "another build of starling, to be measured beside this checkout's")
	binary := flag.String("binary", "", "a build of starling to measure instead of this checkout's")
	flag.DurationVar(&idleFor, "idle", idleFor, "how long an idle mesh is watched")
	flag.Var(&meshSizes, "nodes", "numbers of nodes of a mesh")
	flag.Parse()
	b := &bench{rounds: *rounds, binary: *binary, before: *before}
	if err := b.run(*only, *save); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measurement is a part of a run.
type measurement struct {
	name string
	take func(*bench) error
}

func (b *bench) run(only string, save bool) error {
	return b.series(only, save, []measurement{
		{"proxy: CPU per request beside nginx and HAProxy", (*bench).proxy},
		{"limits: CPU per request with limit_req, sticky learn and sync", (*bench).limits},
		{"tls: CPU per request over TLS", (*bench).overTLS},
		{"bodies: CPU per answer of 1 MB", (*bench).bodies},
		{"caches: CPU per answer from a cache, or of one that lacks it", (*bench).caches},
		{"misses: CPU per answer that a cache lacks and does not store, beside one without a cache", (*bench).misses},
		{"http2: CPU per request over HTTP/2", (*bench).http2},
		{"propagation: a key set on one node, read on the other", (*bench).propagation},
		{"updates: limits changed on one node, applied on the other", (*bench).updates},
		{"teach: a million records to a newcomer", (*bench).teach},
		{"idle: memory of 2,000 idle connections", (*bench).idle},
		{"mesh: start and idle of so many nodes", (*bench).mesh},
	})
}

// series takes the measurements whose name contains only, and reports the host's steal time beside them.
func (b *bench) series(only string, save bool, all []measurement) error {
	dir, err := os.MkdirTemp("", "starling-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	b.report = report{
		Date: time.Now().UTC().Format("2006-01-02T15:04:05Z"), Machine: machine(), Figures: map[string]float64{},
	}
	fmt.Println(b.report.Machine)
	begun, err := readSteal()
	if err != nil {
		return err
	}
	var failed error
	for _, m := range all {
		if !strings.Contains(m.name, only) {
			continue
		}
		fmt.Println(m.name)
		if err := m.take(b); err != nil { // the others are taken all the same
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	after, err := readSteal()
	if err != nil {
		return errors.Join(failed, err)
	}
	b.report.Steal = after.since(begun)
	b.report.Valid = b.report.Steal <= stealMax
	fmt.Printf("steal time of the host: %.1f %%\n", 100*b.report.Steal)
	if !b.report.Valid {
		fmt.Printf("INVALID: more than %.0f %% was stolen; measure again\n", 100*stealMax)
	}
	if save {
		failed = errors.Join(failed, b.save())
	}
	return failed
}

// bench is one run.
type bench struct {
	dir    string
	rounds int
	binary string
	// before is the build with which changes are compared, "" for none.
	before string
	report report
	// suffix ends the names of saved files.
	suffix string
}

func (b *bench) save() error {
	text, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll("bench/results", 0o755); err != nil {
		return err
	}
	path := filepath.Join("bench/results", strings.ReplaceAll(b.report.Date, ":", "")+b.suffix+".json")
	fmt.Println("written to", path)
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// machine describes the machine of the figures.
func machine() string {
	name := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				name = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), name, runtime.Version())
}
