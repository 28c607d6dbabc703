package beside

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// shrink drops requests and directives while the two still differ in the same way.
func (a *arena) shrink(t *testing.T, p pair, difference string) pair {
	t.Helper()
	deadline := time.Now().Add(shrinkPatience)
	kind := kindOf(difference)
	differs := func(p pair) bool { return time.Now().Before(deadline) && kindOf(a.difference(t, p)) == kind }
	p = withoutRequests(p, differs)
	for smaller := true; smaller; {
		smaller = false
		for i := 0; ; {
			tree := clone(p.conf)
			all := places(tree)
			if i >= len(all) {
				break
			}
			all[i].remove()
			if next := (pair{tree, p.requests}); differs(next) {
				p, smaller = next, true
			} else {
				i++
			}
		}
	}
	return withoutRequests(p, differs)
}

// kindOf is what must stay of a difference: what differs, and the problems or the status lines of both.
func kindOf(difference string) string {
	lines := strings.Split(difference, "\n")
	if strings.HasPrefix(lines[0], "the answer") && len(lines) == 3 {
		return "the answer" + strings.Split(lines[1], `\r`)[0] + strings.Split(lines[2], `\r`)[0]
	}
	if strings.HasPrefix(lines[0], "the check") {
		return difference
	}
	return lines[0]
}

// withoutRequests drops halves, quarters, …, then single requests.
func withoutRequests(p pair, differs func(pair) bool) pair {
	for size := (len(p.requests) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(p.requests); {
			rest := slices.Delete(slices.Clone(p.requests), at, min(at+size, len(p.requests)))
			if next := (pair{p.conf, rest}); differs(next) {
				p = next
			} else {
				at += size
			}
		}
	}
	return p
}

// place is where a directive is.
type place struct {
	level *[]*node
	at    *node
}

func (p place) remove() {
	*p.level = slices.DeleteFunc(*p.level, func(n *node) bool { return n == p.at })
}

// places are all directives that a configuration can do without, the largest blocks first.
func places(top []*node) (all []place) {
	var walk func(level *[]*node)
	walk = func(level *[]*node) {
		for _, n := range *level {
			if !n.fixed {
				all = append(all, place{level, n})
			}
			if n.opens {
				walk(&n.block)
			}
		}
	}
	walk(&top)
	slices.SortStableFunc(all, func(a, b place) int { return size(b.at) - size(a.at) })
	return all
}

// size is the number of directives in a directive, with itself.
func size(n *node) int {
	all := 1
	for _, in := range n.block {
		all += size(in)
	}
	return all
}

func clone(level []*node) []*node {
	all := make([]*node, len(level))
	for i, n := range level {
		copied := *n
		copied.block = clone(n.block)
		all[i] = &copied
	}
	return all
}
