package conf

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"sync"
)

// knownVariablesText lists the variables of nginx and NGINX Plus by module.
//
//go:embed knownvariables.txt
var knownVariablesText string

// knownVariables gives the module of each variable, and of each family by its beginning.
var knownVariables = sync.OnceValue(func() (known struct{ exact, families map[string]string }) {
	known.exact, known.families = map[string]string{}, map[string]string{}
	module := ""
	for line := range strings.Lines(knownVariablesText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			module = strings.TrimSpace(line)
			continue
		}
		for _, name := range strings.Fields(line) {
			if family, found := strings.CutSuffix(name, "*"); found {
				known.families[family] = module
			} else {
				known.exact[name] = module
			}
		}
	}
	return known
})

// KnownVariable returns the module of nginx or NGINX Plus that has a variable, by its name without the dollar.
func KnownVariable(name string) (module string, known bool) {
	name = strings.ToLower(name)
	if module, known = knownVariables().exact[name]; known {
		return module, true
	}
	longest := ""
	for family, of := range knownVariables().families {
		if strings.HasPrefix(name, family) && len(family) > len(longest) {
			longest, module = family, of
		}
	}
	return module, longest != ""
}

// moduleOfVariable is KnownVariable for a name that has its dollar; others are no variables.
func moduleOfVariable(name string) string {
	name, isVariable := strings.CutPrefix(name, "$")
	if !isVariable {
		return ""
	}
	module, _ := KnownVariable(name)
	return module
}

// KnownVariables lists the names of all variables that nginx and NGINX Plus know, families left out, sorted.
func KnownVariables() []string {
	return slices.Sorted(maps.Keys(knownVariables().exact))
}
