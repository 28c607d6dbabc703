// Package templates substitutes values of the environment in configuration files, as the image of nginx does with
// envsubst. The results are files of a file system in memory: nothing is written, so the root of the container may be
// read-only, and a reload sees changed templates.
package templates

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"starling/lib/filekind"
)

// Limits: templates are written by hand, and all of them are read at each reload.
const (
	maxBytes     = 1 << 20
	maxTemplates = 1000
	maxDepth     = 8 // of folders below that of the templates
)

// Settings say where templates are and which variables they may use. Paths are absolute.
type Settings struct {
	Dir string
	// Kinds are the endings of templates with the folders where what they make appears.
	Kinds []Kind
	// Filter, if any, says which names are variables; others stay as they are.
	Filter *regexp.Regexp
	// Lookup finds a variable of the environment.
	Lookup func(name string) (value string, defined bool)
}

// Kind is one ending of templates, as ".template".
type Kind struct{ Suffix, OutputDir string }

// FS is a file system with the results of templates among the files of another.
type FS struct {
	base     fs.FS
	settings Settings
}

// Over returns base with the results of the templates.
func Over(base fs.FS, s Settings) *FS {
	// The longest ending first, so that ".stream-template" is not taken for another.
	slices.SortStableFunc(s.Kinds, func(a, b Kind) int { return len(b.Suffix) - len(a.Suffix) })
	return &FS{base: base, settings: s}
}

// inside turns an absolute path into a name of the file system.
func inside(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// outputs finds all templates: results by name, with the template's.
func (f *FS) outputs() (map[string]string, error) {
	root := inside(f.settings.Dir)
	out := map[string]string{}
	return out, f.collect(out, root, "", 0)
}

// collect follows links, for a volume of Kubernetes is made of them.
func (f *FS) collect(out map[string]string, root, below string, depth int) error {
	entries, err := fs.ReadDir(f.base, path.Join(root, below))
	if errors.Is(err, fs.ErrNotExist) && below == "" {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(below, e.Name())
		if isVersion(e.Name()) {
			continue
		}
		info, err := fs.Stat(f.base, path.Join(root, name))
		if err != nil {
			return err
		}
		if info.IsDir() {
			if depth == maxDepth {
				return fmt.Errorf("/%s: more than %d levels of folders", path.Join(root, name), maxDepth)
			}
			if err := f.collect(out, root, name, depth+1); err != nil {
				return err
			}
			continue
		}
		if kind, made := f.kindOf(name); made != "" {
			out[path.Join(inside(kind.OutputDir), made)] = path.Join(root, name)
		}
		if len(out) > maxTemplates {
			return fmt.Errorf("more than %d templates in %s", maxTemplates, f.settings.Dir)
		}
	}
	return nil
}

// kindOf returns the kind of a template: the one with the longest ending.
func (f *FS) kindOf(template string) (k Kind, made string) {
	for _, kind := range f.settings.Kinds {
		if made, is := strings.CutSuffix(template, kind.Suffix); is && made != "" {
			return kind, made
		}
	}
	return Kind{}, ""
}

// templateOf finds the template of one result, "" if there is none. It looks at this one only: a configuration includes
// all results, one after the other.
func (f *FS) templateOf(output string) (string, error) {
	for _, kind := range f.settings.Kinds {
		made, below := strings.CutPrefix(output, inside(kind.OutputDir)+"/")
		template := made + kind.Suffix
		if is, _ := f.kindOf(template); !below || is != kind || hidden(template) {
			continue
		}
		info, err := fs.Stat(f.base, path.Join(inside(f.settings.Dir), template))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case !info.IsDir():
			return path.Join(inside(f.settings.Dir), template), nil
		}
	}
	return "", nil
}

// hidden reports whether part of a path is one that collect does not look at, or is too deep.
func hidden(template string) bool {
	parts := strings.Split(template, "/")
	return len(parts) > maxDepth+1 || slices.ContainsFunc(parts, isVersion)
}

// isVersion matches the folders in which a volume of Kubernetes keeps its versions.
func isVersion(name string) bool { return strings.HasPrefix(name, "..") }

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	template, err := f.templateOf(name)
	if err != nil {
		return nil, err
	}
	if template == "" {
		return f.base.Open(name)
	}
	text, err := f.render(template)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return newResult(path.Base(name), text), nil
}

// ReadDir implements fs.ReadDirFS: patterns of include are looked up with it.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	made, err := f.outputs()
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.base, name)
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for output := range made {
		if path.Dir(output) != name {
			continue
		}
		if err = nil; !there[path.Base(output)] { // the folder is there now, whether it was before or not
			entries = append(entries, newResult(path.Base(output), nil))
		}
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat implements fs.StatFS. What a template makes is not looked at here.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	template, err := f.templateOf(name)
	if err != nil {
		return nil, err
	}
	if template != "" {
		return newResult(path.Base(name), nil), nil
	}
	return fs.Stat(f.base, name)
}

// render substitutes the values in a template.
func (f *FS) render(template string) ([]byte, error) {
	info, err := fs.Stat(f.base, template)
	if err == nil {
		err = filekind.Check(info.Mode())
	}
	if err != nil {
		return nil, err
	}
	file, err := f.base.Open(template)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("template /%s is larger than %d bytes", template, maxBytes)
	}
	out, unknown := f.substitute(string(text))
	if len(unknown) > 0 {
		return nil, fmt.Errorf("template /%s uses variables that the environment does not have: %s", template,
			strings.Join(unknown, ", "))
	}
	return []byte(out), nil
}

// variable matches $name and ${name}, and text that begins like one in braces and continues otherwise, as
// ${NAME:-default}.
var variable = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)([^}\n]*)\})`)

// ours matches names that only the environment can have: those of nginx are in lower case.
var ours = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// substitute replaces the names that the environment has. Names that it lacks are nginx's variables, and stay; those in
// upper case cannot be, and are unknown. A comment line may show names that are not set.
func (f *FS) substitute(text string) (out string, unknown []string) {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		comment := strings.HasPrefix(strings.TrimSpace(line), "#")
		lines[i] = variable.ReplaceAllStringFunc(line, func(reference string) string {
			parts := variable.FindStringSubmatch(reference)
			name := parts[1] + parts[2]
			if f.settings.Filter != nil && !f.settings.Filter.MatchString(name) {
				return reference
			}
			value, defined := f.settings.Lookup(name)
			switch {
			case parts[3] != "" && ours.MatchString(name) && !comment:
				unknown = append(unknown,
					fmt.Sprintf("\"%s\" in line %d (write ${%s}: there are no defaults)", reference, i+1, name))
			case parts[3] != "":
			case defined:
				return value
			case ours.MatchString(name) && !comment:
				unknown = append(unknown, fmt.Sprintf("\"%s\" in line %d", name, i+1))
			}
			return reference
		})
	}
	return strings.Join(lines, ""), unknown
}
