package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those for which "make dist" builds. The linked packages differ between them.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "freebsd/amd64"}

// part is a module, or the Go distribution, with the files that state its terms of use.
type part struct {
	name, version string
	files         []termsFile
}

// termsFile is one licence, notice or patent grant.
type termsFile struct {
	name string // relative to the part
	text string
}

// goPackage is the output of "go list -json" for a package.
type goPackage struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked returns all parts of which any platform links a package, sorted by name; Go comes first.
func linked() ([]part, error) {
	type module struct{ path, version, dir string }
	folders := map[module]map[string]bool{}
	for _, platform := range platforms {
		packages, err := list(platform)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			if p.Standard || p.Module == nil || p.Module.Main {
				continue
			}
			m := module{p.Module.Path, p.Module.Version, p.Module.Dir}
			if folders[m] == nil {
				folders[m] = map[string]bool{}
			}
			folders[m][p.Dir] = true
		}
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	golang, err := read("Go standard library and runtime", "", []string{strings.TrimSpace(string(goroot))}, "")
	if err != nil {
		return nil, err
	}
	parts := []part{golang}
	byPath := func(a, b module) int { return strings.Compare(a.path, b.path) }
	for _, m := range slices.SortedFunc(maps.Keys(folders), byPath) {
		p, err := read(m.path, m.version, between(m.dir, folders[m]), m.dir)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// list returns the packages that a platform's binary is made of.
func list(platform string) ([]goPackage, error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	command := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", ".")
	command.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s: %w", platform, err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list for %s: %w", platform, err)
		}
		packages = append(packages, p)
	}
}

// between returns the folder of a module, those of the linked packages, and those between: code copied from another
// project has its licence next to it.
func between(root string, packages map[string]bool) []string {
	all := map[string]bool{root: true}
	for dir := range packages {
		for ; len(dir) > len(root); dir = filepath.Dir(dir) {
			all[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// terms match the names of files that state terms of use.
var terms = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// read collects the terms of a part from its folders. A part without a licence must not be linked in.
func read(name, version string, folders []string, root string) (part, error) {
	p := part{name: name, version: version}
	licensed := false
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range entries {
			if e.IsDir() || !terms.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				return p, fmt.Errorf("%s: %w", name, err)
			}
			below := e.Name()
			if root != "" && folder != root {
				below = filepath.ToSlash(strings.TrimPrefix(folder, root+string(filepath.Separator))) + "/" + e.Name()
			}
			p.files = append(p.files, termsFile{below, string(text)})
			licensed = licensed || !strings.HasPrefix(strings.ToLower(e.Name()), "patents") &&
				!strings.HasPrefix(strings.ToLower(e.Name()), "notice")
		}
	}
	if !licensed {
		return p, fmt.Errorf("%s %s has no licence file: it must not be linked in (looked in %s)", name, version,
			strings.Join(folders, ", "))
	}
	return p, nil
}
