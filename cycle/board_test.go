package cycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/lib/testkit"
)

const (
	boardPath = "../deploy/grafana/starling.json"
	rulesPath = "../deploy/prometheus/starling.rules.yml"
)

// boardQueries are the queries of Grafana's board, with its variables replaced as Grafana does.
func boardQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(boardPath)
	if err != nil {
		t.Fatal(err)
	}
	type query struct{ Expr string }
	var board struct {
		Panels      []struct{ Targets []query }
		Annotations struct{ List []query }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "30s")
	add := func(all []query) {
		for _, q := range all {
			queries = append(queries, variables.Replace(q.Expr))
		}
	}
	for _, p := range board.Panels {
		add(p.Targets)
	}
	add(board.Annotations.List)
	if len(queries) < 50 {
		t.Errorf("%d queries", len(queries))
	}
	return queries
}

var metricName = regexp.MustCompile(`\b(?:starling|nginxplus|process|go)_[a-z0-9_]+\b`)

// watchedNode is a node of a cluster with everything that a board shows, a zone that is not shared included.
func watchedNode(t *testing.T) (web string) {
	t.Helper()
	web, own, one, two := address(t), address(t), address(t), address(t)
	members := "zone_sync_server " + one + "; zone_sync_server " + two + ";"
	observed(t, web, own, one, members, "")
	observed(t, address(t), address(t), two, members, "keyval_zone zone=alone:1m sync; keyval $uri $alone zone=alone;")
	for _, target := range []string{web, own} {
		if got := getStatus(t, "http://"+target+"/"); got != 204 {
			t.Fatalf("http://%s/: %d", target, got)
		}
	}
	testkit.Eventually(t, patience, func() error {
		return tells(scrape(t, web), `starling_peer_mismatched_zones{address="`+two+`"`, 1)
	})
	return web
}

// TestBoardAndRulesNameMetrics: every metric that the board and the alerting rules name is one of a node's.
func TestBoardAndRulesNameMetrics(t *testing.T) {
	page := scrape(t, watchedNode(t))
	rules, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	used := metricName.FindAllString(strings.Join(boardQueries(t), "\n")+string(rules), -1)
	slices.Sort(used)
	for _, name := range slices.Compact(used) {
		if !strings.Contains(page, "\n"+name+"{") && !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("%s is not on the page", name)
		}
	}
}

// TestRulesAreThoseOfTheDocs: the file for Prometheus and the page for operators have the same rules.
func TestRulesAreThoseOfTheDocs(t *testing.T) {
	rules, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "Recommended alerting rules")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	want, _, found := strings.Cut(rest, "```")
	if _, got, _ := strings.Cut(string(rules), "\n"); !found || got != want {
		t.Errorf("%s has\n%s\nand docs/operating.md\n%s", rulesPath, got, want)
	}
}

// TestRulesOfPrometheus runs the unit tests of the rules with Prometheus' own tool.
func TestRulesOfPrometheus(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool, of Debian's package prometheus, is not installed")
	}
	for _, arguments := range [][]string{{"check", "rules", "starling.rules.yml"}, {"test", "rules", "starling.test.yml"}} {
		command := exec.CommandContext(t.Context(), promtool, arguments...)
		command.Dir = filepath.Dir(rulesPath)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", arguments, err, out)
		}
	}
}

// prometheus starts the real one, which scrapes a node each second, and returns a function for its API.
func prometheus(t *testing.T, web string) func(path string, answer any) error {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	dir, at := t.TempDir(), address(t)
	rules, err := filepath.Abs(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: starling, static_configs: [{targets: [%q]}]}]\n", rules, web)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+at)
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the context's end kills it, so that the log is complete
		command.Process.Kill()
		command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return func(path string, answer any) error {
		r, err := http.Get("http://" + at + path)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		var envelope struct {
			Status, Error string
			Data          json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&envelope); err != nil {
			return err
		}
		if envelope.Status != "success" {
			return errors.New(path + ": " + envelope.Error)
		}
		return json.Unmarshal(envelope.Data, answer)
	}
}

// TestBoardInPrometheus: a real Prometheus that scrapes a node answers all queries of the board, and evaluates the
// rules.
func TestBoardInPrometheus(t *testing.T) {
	ask := prometheus(t, watchedNode(t))
	type result struct{ Result []json.RawMessage }
	query := func(expression string) (n int, err error) {
		var r result
		err = ask("/api/v1/query?query="+url.QueryEscape(expression), &r)
		return len(r.Result), err
	}
	testkit.Eventually(t, patience, func() error {
		n, err := query("rate(nginxplus_http_requests_total[30s]) > 0")
		if err == nil && n == 0 {
			err = errors.New("no two samples yet")
		}
		return err
	})
	for _, expression := range boardQueries(t) {
		n, err := query(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		}
		// Filters find nothing on a healthy node, and there is no share of what did not happen within the interval.
		if n == 0 && !strings.Contains(expression, "> ") && !strings.Contains(expression, " == 0") {
			t.Errorf("%s: no result", expression)
		}
	}
	testkit.Eventually(t, patience, func() error {
		var r struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := ask("/api/v1/rules", &r); err != nil {
			return err
		}
		for _, g := range r.Groups {
			for _, rule := range g.Rules {
				if rule.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
				}
			}
		}
		if len(r.Groups) != 1 || len(r.Groups[0].Rules) != 14 {
			return fmt.Errorf("the groups are %+v", r.Groups)
		}
		return nil
	})
}
