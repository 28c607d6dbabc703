package web

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/logs"
)

// Location is one compiled location, or a block that replaces it (if, limit_except).
type Location struct {
	Scope *conf.Scope
	Core  *Settings // set by the core family
	Name  string    // "/images/", "@fallback"; of an if, the name of the enclosing location
	Log   logs.Logger
	// AutoRedirect, set by a module while the location "/x/" is built, makes a request for "/x" get a redirect
	// (proxy_pass).
	AutoRedirect bool
	// LimitsBody, set likewise, means that the content handler limits the body itself and formats the error (api).
	LimitsBody bool
	// Refuse, set likewise, formats the response to TRACE, which is rejected before a location is found, in the content
	// handler's way.
	Refuse func(*Request) Result

	kind        locationKind
	answers     string // the family whose directive makes the content; "" if none does
	outer       string // content handlers of the block around an if or limit_except
	rootLiteral string // Core.Root if it has no variables
	phases      [phaseCount][]Handler
	filters     []Filter
	joint       int // index of the first joint one among the filters
	inner       *locationTree
	limitExcept *Location
	zone        zoneOf
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

// HasPrefix reports whether Name is a prefix of the location's paths.
func (l *Location) HasPrefix() bool { return l.kind < regexLocation }

// LocationName is the argument of location.
type LocationName struct {
	kind locationKind
	Text string // path or pattern
}

// ReadLocationName follows ngx_http_core_location: the modifier can be separate or part of the name.
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

// IsRegex distinguishes patterns from paths and names.
func (n LocationName) IsRegex() bool { return n.kind == regexLocation || n.kind == caselessLocation }

// checkNesting has nginx's rules for a location inside a location; outer is nil on the server level.
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

// locationTree has the locations of one level. Prefixes are found with one binary search: the longest prefix is the
// greatest name that is not above the URI, or one of the names that are its prefixes.
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
	// shorter is the index of the longest other name that is a prefix of this one, or -1.
	shorter int
}

type locationRegex struct {
	regex    *Regex
	location *Location
}

func newLocationTree() *locationTree {
	return &locationTree{exact: map[string]*Location{}, named: map[string]*Location{}}
}

// add adds a location that is not a regular expression; false means that the name is taken.
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

// finish links the prefixes after all locations are built.
func (t *locationTree) finish() {
	for i := range t.prefixes {
		at := i - 1
		for at >= 0 && !strings.HasPrefix(t.prefixes[i].name, t.prefixes[at].name) {
			at = t.prefixes[at].shorter
		}
		t.prefixes[i].shorter = at
		t.addSlashed(t.prefixes[i].location)
	}
	for _, l := range t.exact { // of two with one name, the exact one redirects, as in nginx
		t.addSlashed(l)
	}
}

// addSlashed notes a location that redirects /x to /x/.
func (t *locationTree) addSlashed(l *Location) {
	if !l.AutoRedirect || !strings.HasSuffix(l.Name, "/") {
		return
	}
	if t.slashed == nil {
		t.slashed = map[string]*Location{}
	}
	t.slashed[strings.TrimSuffix(l.Name, "/")] = l
}

// longestPrefix is the index of the longest name that is a prefix of uri, or -1.
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

// found is how a location was found.
type found int

const (
	notFound found = iota
	byPrefix       // a regular expression of a higher level may still be preferred
	finally
)

// search follows ngx_http_core_find_location and sets r.Location. redirect is the location whose name, with its slash,
// the client should request instead.
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
