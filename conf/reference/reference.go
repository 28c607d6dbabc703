// Package reference writes the pages for operators from the declarations that check their configurations.
package reference

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"starling/conf"
)

// Family is the subject of one page: a module with its variables and example.
type Family struct {
	Module    *conf.Module
	Variables []Variable
	Text      string // Markdown: an example and notes on several directives; may be empty
}

// Variable is a variable that the family declares; of a Prefix, any name that begins with it.
type Variable struct {
	Name, Doc string
	Prefix    bool
}

// Page writes the page of a family in Markdown, from the declarations that check configurations.
func Page(f Family) string {
	var page strings.Builder
	m := f.Module
	fmt.Fprintf(&page, "# %s\n\n%s\n", m.Name, m.Doc)
	if f.Text != "" {
		fmt.Fprintf(&page, "\n## Example\n\n%s\n", strings.TrimSpace(f.Text))
	}
	if len(m.Directives) > 0 {
		page.WriteString("\n## Directives\n")
	}
	for i := range m.Directives {
		directive(&page, &m.Directives[i])
	}
	if len(f.Variables) > 0 {
		page.WriteString("\n## Variables\n\n| Variable | Value |\n|---|---|\n")
	}
	for _, v := range f.Variables {
		name := v.Name
		if v.Prefix {
			name += "<name>"
		}
		fmt.Fprintf(&page, "| `$%s` | %s |\n", name, cell(v.Doc))
	}
	return page.String()
}

func directive(page *strings.Builder, d *conf.Directive) {
	fmt.Fprintf(page, "\n### %s\n\n| | |\n|---|---|\n", d.Name)
	for _, line := range strings.Split(d.Syntax, "\n") {
		fmt.Fprintf(page, "| Syntax | %s |\n", code(usage(d, strings.TrimSpace(line))))
	}
	fmt.Fprintf(page, "| Default | %s |\n| Context | %s |\n", defaultText(d), d.In)
	if len(d.Unsupported) > 0 {
		fmt.Fprintf(page, "| Not supported | %s |\n", code(strings.Join(d.Unsupported, " ")))
	}
	if d.Refused != "" {
		fmt.Fprintf(page, "| Not supported | %s |\n", code(d.Name+" "+d.Refused))
	}
	if d.Doc != "" {
		fmt.Fprintf(page, "\n%s\n", d.Doc)
	}
	if len(d.Params) == 0 {
		return
	}
	page.WriteString("\n| Parameter | Meaning |\n|---|---|\n")
	for _, name := range Parameters(d) {
		fmt.Fprintf(page, "| `%s` | %s |\n", name, cell(d.Params[name]))
	}
}

// Parameters lists the parameters and flags of a directive in the order of its syntax, with the texts of
// Directive.Params.
func Parameters(d *conf.Directive) []string {
	lines, err := conf.ParseSyntax(d.Syntax)
	if err != nil {
		return nil // NewBinder says so
	}
	var names []string
	for _, line := range lines {
		for _, t := range line.Terms {
			values := slices.ContainsFunc(t.Forms, func(f conf.Form) bool { return f.Kind == conf.ValueForm })
			for _, f := range t.Forms {
				flag := f.Kind == conf.WordForm && t.Optional && !values
				unsupported := slices.Contains(d.Unsupported, f.Name) || slices.Contains(d.Unsupported, f.Name+"=")
				if (f.Kind == conf.ParamForm || flag) && !unsupported && !slices.Contains(names, f.Name) {
					names = append(names, f.Name)
				}
			}
		}
	}
	return names
}

// cell is text inside a table, where it must not contain a bar or a line break.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

func usage(d *conf.Directive, syntax string) string {
	text := strings.TrimSpace(d.Name + " " + syntax)
	if d.IsBlock() {
		return text + " { ... }"
	}
	return text + ";"
}

func defaultText(d *conf.Directive) string {
	switch {
	case d.DefaultDoc != "":
		return d.DefaultDoc
	case d.Default != "":
		return code(d.Name + " " + d.Default + ";")
	}
	return "—"
}

// code marks text as code inside a table, where a bar would end the cell.
func code(text string) string {
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// Compatibility writes the table of all directives of nginx and NGINX Plus, by module: those that starling supports,
// the unsupported contexts, and the missing parameters.
func Compatibility(modules []*conf.Module) string {
	b, err := conf.NewBinder(modules)
	if err != nil {
		return "Invalid declarations: " + err.Error() + "\n"
	}
	var page strings.Builder
	count := map[standing]int{}
	module := ""
	known := map[string]bool{}
	declared := maps.Collect(b.Directives())
	for _, k := range conf.KnownDirectives() {
		if k.Module != module {
			module = k.Module
			fmt.Fprintf(&page, "\n## %s\n\n| directive | context | starling |\n|---|---|---|\n", module)
		}
		known[k.Name] = true
		state, how := support(declared[k.Name], k)
		count[how]++
		note := map[string]string{"plus": " (NGINX Plus)", "addon": " (apart from nginx)"}[k.Origin]
		fmt.Fprintf(&page, "| `%s`%s | %s | %s |\n", k.Name, note, k.In, state)
	}
	const title = "# Compatibility\n\nOf the %d directives of nginx 1.31, its usual modules and NGINX Plus, starling " +
		"has %d, and\naccepts %d more without effect ([ignored](reference/main-ignored.md)).\n"
	all := count[works] + count[withoutEffect] + count[missing]
	return fmt.Sprintf(title, all, count[works], count[withoutEffect]) + own(declared, known) + page.String()
}

// standing is how starling treats a directive of nginx.
type standing int

const (
	missing standing = iota
	withoutEffect
	works
)

// support returns how far starling supports a directive in the contexts of one module of nginx.
func support(declared []*conf.Directive, k conf.KnownDirective) (state string, how standing) {
	if k.Name == "include" {
		return "yes", works // the parser's own
	}
	var in conf.Context
	var lacking []string
	effect := false
	for _, d := range declared {
		if d.In&k.In != 0 {
			in |= d.In & k.In
			effect = effect || !d.NoEffect
			lacking = append(lacking, d.Unsupported...)
			if d.Refused != "" {
				return "no, only " + code(d.Syntax), missing
			}
		}
	}
	if in == 0 {
		return "no", missing
	}
	var limits []string
	if rest := k.In &^ in; rest != 0 {
		limits = append(limits, "not in "+rest.String())
	}
	if len(lacking) > 0 {
		limits = append(limits, "without "+code(strings.Join(lacking, " ")))
	}
	switch {
	case !effect:
		return strings.Join(append([]string{"accepted without effect"}, limits...), "; "), withoutEffect
	case len(limits) > 0:
		return "in part: " + strings.Join(limits, "; "), works
	}
	return "yes", works
}

// own lists the directives that only starling has.
func own(declared map[string][]*conf.Directive, known map[string]bool) string {
	var names []string
	for name := range declared {
		if !known[name] {
			names = append(names, "`"+name+"`")
		}
	}
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names)
	return "Its own, unknown to nginx: " + strings.Join(names, ", ") + ".\n"
}
