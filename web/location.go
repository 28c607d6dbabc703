package web

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/logs"
)

// Location is one compiled location, or a block that takes its place (if, limit_except).
type Location struct {
	Scope *conf.Scope
	Core  *Settings // set by the core family
	Name  string    // "/images/", "@fallback"; of an if the name of the location around it
	Log   logs.Logger
	// AutoRedirect, set by a module while the location "/x/" is built, answers the request for "/x" with a redirect
	// (proxy_pass).
	AutoRedirect bool
	// LimitsBody, set likewise, says that the content handler bounds the body itself and words what it thinks of a
	// longer one (api).
	LimitsBody bool
	// Refuse, set likewise, answers what is refused before a location is looked for, TRACE, in the content handler's
	// words.
	Refuse func(*Request) Result

	kind        locationKind
	answers     string // the family that makes the content by a directive; "" if none does
	outer       string // answers of the block around an if or limit_except
	rootLiteral string // Core.Root where it has no variables
	phases      [phaseCount][]Handler
	filters     []Filter
	inner       *locationTree
	limitExcept *Location
}

type locationKind int

const (
	prefixLocation locationKind = iota
	exactLocation
	noRegexLocation
	regexLocation
	caselessLocation
	namedLocation
)

// HasPrefix tells whether Name is what paths of the location begin with.
func (l *Location) HasPrefix() bool { return l.kind < regexLocation }

// LocationName is what stands between location and its block.
type LocationName struct {
	kind locationKind
	Text string // path or pattern
}

// ReadLocationName follows ngx_http_core_location: the modifier may stand alone or be glued to the name.
func ReadLocationName(words []string) (n LocationName, err error) {
	if len(words) == 2 {
		n.Text = words[1]
		switch words[0] {
		case "=":
			n.kind = exactLocation
		case "^~":
			n.kind = noRegexLocation
		case "~":
			n.kind = regexLocation
		case "~*":
			n.kind = caselessLocation
		default:
			return n, fmt.Errorf("invalid location modifier \"%s\"", words[0])
		}
		return n, nil
	}
	for _, m := range []struct {
		prefix string
		kind   locationKind
	}{{"=", exactLocation}, {"^~", noRegexLocation}, {"~*", caselessLocation}, {"~", regexLocation}} {
		if text, cut := strings.CutPrefix(words[0], m.prefix); cut {
			return LocationName{m.kind, text}, nil
		}
	}
	n.Text = words[0]
	if strings.HasPrefix(n.Text, "@") {
		n.kind = namedLocation
	}
	return n, nil
}

// IsRegex tells patterns from paths and names.
func (n LocationName) IsRegex() bool { return n.kind == regexLocation || n.kind == caselessLocation }

// checkNesting holds the rules of nginx about a location inside a location; outer is nil on the server level.
func (n LocationName) checkNesting(outer *LocationName) error {
	switch {
	case outer == nil:
		return nil
	case outer.kind == exactLocation:
		return fmt.Errorf("location \"%s\" cannot be inside the exact location \"%s\"", n.Text, outer.Text)
	case outer.kind == namedLocation:
		return fmt.Errorf("location \"%s\" cannot be inside the named location \"%s\"", n.Text, outer.Text)
	case n.kind == namedLocation:
		return fmt.Errorf("named location \"%s\" can be on the server level only", n.Text)
	case !n.IsRegex() && !strings.HasPrefix(n.Text, outer.Text):
		return fmt.Errorf("location \"%s\" is outside location \"%s\"", n.Text, outer.Text)
	}
	return nil
}

// locationTree are the locations of one level. Prefixes are found with one binary search: the greatest name that is not
// above the URI, or one of those that begin it, is the longest prefix.
type locationTree struct {
	exact    map[string]*Location
	named    map[string]*Location
	prefixes []prefix // by name
	regexes  []locationRegex
	slashed  map[string]*Location // by name without its last slash: those that redirect to it
}

type prefix struct {
	name     string
	location *Location
	// shorter is the place of the longest other name that begins this one, or -1.
	shorter int
}

type locationRegex struct {
	regex    *Regex
	location *Location
}

func newLocationTree() *locationTree {
	return &locationTree{exact: map[string]*Location{}, named: map[string]*Location{}}
}

// add takes a location that is not a regular expression; false says that the name is taken.
func (t *locationTree) add(l *Location) bool {
	switch l.kind {
	case exactLocation, namedLocation:
		byName, name := t.exact, l.Name
		if l.kind == namedLocation {
			byName, name = t.named, strings.TrimPrefix(l.Name, "@")
		}
		if byName[name] != nil {
			return false
		}
		byName[name] = l
		return true
	}
	at, taken := slices.BinarySearchFunc(
		t.prefixes,
		l.Name,
		func(p prefix, name string) int { return strings.Compare(p.name, name) },
	)
	if taken {
		return false
	}
	t.prefixes = slices.Insert(t.prefixes, at, prefix{name: l.Name, location: l})
	return true
}

// finish links the prefixes, once all locations are built.
func (t *locationTree) finish() {
	for i := range t.prefixes {
		at := i - 1
		for at >= 0 && !strings.HasPrefix(t.prefixes[i].name, t.prefixes[at].name) {
			at = t.prefixes[at].shorter
		}
		t.prefixes[i].shorter = at
		if l := t.prefixes[i].location; l.AutoRedirect && strings.HasSuffix(l.Name, "/") {
			if t.slashed == nil {
				t.slashed = map[string]*Location{}
			}
			t.slashed[strings.TrimSuffix(l.Name, "/")] = l
		}
	}
}

// longestPrefix is the place of the longest name that begins uri, or -1.
func (t *locationTree) longestPrefix(uri []byte) int {
	low, high := 0, len(t.prefixes)
	for low < high {
		middle := (low + high) / 2
		if t.prefixes[middle].name <= string(uri) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	at := low - 1
	for at >= 0 {
		name := t.prefixes[at].name
		if len(name) <= len(uri) && name == string(uri[:len(name)]) {
			return at
		}
		at = t.prefixes[at].shorter
	}
	return -1
}

// found tells how a location was found.
type found int

const (
	notFound found = iota
	byPrefix       // a regular expression of a level above may still be preferred
	finally
)

// search follows ngx_http_core_find_location and sets r.Location. redirect is the location whose name, with its slash,
// the client should ask for instead.
func (t *locationTree) search(r *Request) (how found, redirect *Location) {
	if t == nil {
		return notFound, nil
	}
	if l := t.exact[string(r.Path)]; l != nil {
		r.Location = l
		return finally, nil
	}
	at, noRegex := t.longestPrefix(r.Path), false
	if len(t.slashed) > 0 && (at < 0 || len(t.prefixes[at].name) != len(r.Path)) {
		if l := t.slashed[string(r.Path)]; l != nil {
			return finally, l
		}
	}
	if at >= 0 {
		how, noRegex = byPrefix, t.prefixes[at].location.kind == noRegexLocation
		r.Location = t.prefixes[at].location
		if deeper, redirect := r.Location.inner.search(r); deeper == finally {
			return finally, redirect
		}
	}
	if noRegex {
		return how, nil
	}
	for i := range t.regexes {
		if t.regexes[i].regex.Match(r, r.Path) {
			r.Location = t.regexes[i].location
			_, redirect := r.Location.inner.search(r)
			return finally, redirect
		}
	}
	return how, nil
}
