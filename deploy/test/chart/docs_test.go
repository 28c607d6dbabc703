package chart

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// update writes what is generated instead of comparing it: go -C deploy/test test ./chart -update
var update = flag.Bool("update", false, "write the generated files")

// current compares a file of the repository with what it should be, or writes it.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, path); got != want {
		t.Errorf("%s is not current: run \"go -C deploy/test test ./chart -update\"", path)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// value is one value of the chart with its comment.
type value struct{ path, byDefault, text string }

var (
	described = regexp.MustCompile(`^( *)# -- (.*)$`)
	continued = regexp.MustCompile(`^ *# (.*)$`)
	keyLine   = regexp.MustCompile(`^( *)([A-Za-z0-9]+):(.*)$`)
)

// describedValues reads the comments of values.yaml; defaults are written as in JSON.
func describedValues(t *testing.T) (list []value) {
	t.Helper()
	text := read(t, filepath.Join(Folder(), "values.yaml"))
	var all any
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	var parents []string
	comment := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case described.MatchString(line):
			comment = described.FindStringSubmatch(line)[2]
		case comment != "" && continued.MatchString(line):
			comment += " " + continued.FindStringSubmatch(line)[1]
		case keyLine.MatchString(line):
			key := keyLine.FindStringSubmatch(line)
			parents = append(parents[:len(key[1])/2], key[2])
			if comment != "" {
				at := all
				for _, name := range parents {
					at = at.(map[string]any)[name]
				}
				byDefault, err := json.Marshal(at)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, value{strings.Join(parents, "."), string(byDefault), comment})
			}
			comment = ""
		}
	}
	return list
}

// TestValuesAreDescribed: each value has a comment, and the schema knows exactly the values that there are.
func TestValuesAreDescribed(t *testing.T) {
	var schema any
	if err := json.Unmarshal([]byte(read(t, filepath.Join(Folder(), "values.schema.json"))), &schema); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var walk func(at any, path string)
	walk = func(at any, path string) {
		node := at.(map[string]any)
		properties, closed := node["properties"].(map[string]any)
		closed = closed && node["additionalProperties"] == false // others are Kubernetes' own objects
		if !closed || node["type"] != "object" || strings.HasPrefix(path, "probes.") {
			known[path] = true
			return
		}
		for name, child := range properties {
			walk(child, strings.TrimPrefix(path+"."+name, "."))
		}
	}
	walk(schema, "")
	delete(known, "global") // of charts that have this one as a part
	for _, v := range describedValues(t) {
		if !known[v.path] {
			t.Errorf("values.schema.json does not have %s", v.path)
		}
		delete(known, v.path)
	}
	for _, path := range slices.Sorted(maps.Keys(known)) {
		t.Errorf("values.yaml does not describe %s", path)
	}
}

// TestValuesTableIsCurrent: docs/kubernetes.md has the values as values.yaml describes them.
func TestValuesTableIsCurrent(t *testing.T) {
	const begin, end = "<!-- values: generated from values.yaml -->\n", "<!-- end of values -->\n"
	path := filepath.Join(Root(), "docs", "kubernetes.md")
	page := read(t, path)
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has lost the marks of its table", path)
	}
	var table strings.Builder
	table.WriteString("| value | default | |\n|---|---|---|\n")
	for _, v := range describedValues(t) {
		byDefault := "`" + v.byDefault + "`"
		if v.byDefault == `""` {
			byDefault = ""
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.path, strings.ReplaceAll(byDefault, "|", `\|`), strings.ReplaceAll(v.text, "|", `\|`))
	}
	current(t, path, before+begin+table.String()+end+after)
}

// TestCopiesAreCurrent: the chart brings files of the repository along, for helm reads nothing outside of its folder. The
// first is in the folder of the image that the ConfigMap hides.
func TestCopiesAreCurrent(t *testing.T) {
	for copied, original := range map[string]string{
		"files/mime.types": "packaging/etc/mime.types", "files/alerts.yaml": "deploy/prometheus/starling.rules.yml",
		"boards/starling.json": "deploy/grafana/starling.json",
	} {
		current(t, filepath.Join(Folder(), copied), read(t, filepath.Join(Root(), original)))
	}
}

// TestPlainManifestsAreCurrent: deploy/kubernetes is what the chart makes, without what only helm needs.
func TestPlainManifestsAreCurrent(t *testing.T) {
	folder := filepath.Join(Root(), "deploy", "kubernetes")
	text, err := Release{Namespace: "starling", Values: []string{filepath.Join(folder, "values.yaml")}}.Text(t)
	if err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder
	plain.WriteString("# Made from the chart in deploy/helm/starling with values.yaml. To change it, change those and run\n" +
		"# go -C deploy/test test ./chart -update\n")
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "helm.sh/chart:") || strings.HasPrefix(line, "# Source:") ||
			strings.HasPrefix(trimmed, "app.kubernetes.io/managed-by:") {
			continue
		}
		plain.WriteString(line)
	}
	if _, err := Decode(plain.String()); err != nil {
		t.Error(err)
	}
	current(t, filepath.Join(folder, "starling.yaml"), plain.String())
}
