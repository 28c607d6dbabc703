package conf

import (
	"fmt"
	"sort"
	"strings"
)

// Reference writes the reference page of a module in Markdown, from the same declarations that check
// configurations.
func Reference(m *Module) string {
	var page strings.Builder
	fmt.Fprintf(&page, "# %s\n\n%s\n", m.Name, m.Doc)
	for i := range m.Directives {
		d := &m.Directives[i]
		fmt.Fprintf(&page, "\n## %s\n\n| | |\n|---|---|\n", d.Name)
		for _, line := range strings.Split(d.Syntax, "\n") {
			fmt.Fprintf(&page, "| Syntax | %s |\n", code(usage(d, strings.TrimSpace(line))))
		}
		fmt.Fprintf(&page, "| Default | %s |\n| Context | %s |\n", defaultText(d), d.In)
		if len(d.Unsupported) > 0 {
			fmt.Fprintf(&page, "| Not supported | %s |\n", code(strings.Join(d.Unsupported, " ")))
		}
		if d.Refused != "" {
			fmt.Fprintf(&page, "| Not supported | %s |\n", code(d.Name+" "+d.Refused))
		}
		if d.Doc != "" {
			fmt.Fprintf(&page, "\n%s\n", d.Doc)
		}
	}
	return page.String()
}

func usage(d *Directive, syntax string) string {
	text := strings.TrimSpace(d.Name + " " + syntax)
	if d.isBlock() {
		return text + " { ... }"
	}
	return text + ";"
}

func defaultText(d *Directive) string {
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

// Compatibility writes the table of all directives that nginx and NGINX Plus know, by their modules: which
// starling has, in which contexts it does not, and which parameters are missing.
func Compatibility(modules []*Module) string {
	b, err := NewBinder(modules)
	if err != nil {
		return "The declarations are wrong: " + err.Error() + "\n"
	}
	var page strings.Builder
	have, all := 0, 0
	module := ""
	known := map[string]bool{}
	for _, k := range KnownDirectives() {
		if k.Module != module {
			module = k.Module
			fmt.Fprintf(&page, "\n## %s\n\n| directive | context | starling |\n|---|---|---|\n", module)
		}
		known[k.Name] = true
		state, supported := b.support(k)
		if all++; supported {
			have++
		}
		note := map[string]string{"plus": " (NGINX Plus)", "addon": " (apart from nginx)"}[k.Origin]
		fmt.Fprintf(&page, "| `%s`%s | %s | %s |\n", k.Name, note, k.In, state)
	}
	const title = "# Compatibility\n\nOf the %d directives of nginx 1.31, its usual modules and NGINX Plus, starling has %d.\n"
	return fmt.Sprintf(title, all, have) + b.own(known) + page.String()
}

// support says how far starling has a directive in the contexts of one module of nginx.
func (b *Binder) support(k KnownDirective) (state string, supported bool) {
	if k.Name == "include" {
		return "yes", true // the parser's own
	}
	var in Context
	var missing []string
	for _, d := range b.byName[k.Name] {
		if d.In&k.In != 0 {
			in |= d.In & k.In
			missing = append(missing, d.Unsupported...)
			if d.Refused != "" {
				return "no, only " + code(d.Syntax), false
			}
		}
	}
	var lacks []string
	if rest := k.In &^ in; rest != 0 {
		lacks = append(lacks, "not in "+rest.String())
	}
	if len(missing) > 0 {
		lacks = append(lacks, "without "+code(strings.Join(missing, " ")))
	}
	switch {
	case in == 0:
		return "no", false
	case len(lacks) > 0:
		return "in part: " + strings.Join(lacks, "; "), true
	}
	return "yes", true
}

// own lists the directives that only starling has.
func (b *Binder) own(known map[string]bool) string {
	var names []string
	for name := range b.byName {
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
