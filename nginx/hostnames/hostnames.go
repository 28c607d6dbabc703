// Package hostnames finds values by host names and their masks, as nginx does for server names and maps:
// `www.example.org`, `*.example.org`, `www.example.*`, and `.example.org`, which is both the name and its mask.
package hostnames

import (
	"bytes"
	"errors"
	"strings"
)

// Results of Add for a name.
var (
	// ErrInvalid is returned for a name with an asterisk other than at an end, or with an empty label.
	ErrInvalid = errors.New("invalid host name or mask")
	// ErrTaken is returned for a name that already has another value.
	ErrTaken = errors.New("conflicting host name")
)

// Table holds values by name, in lower case. Its zero value is empty. It is filled by one goroutine and then only read.
type Table[V comparable] struct {
	exact    map[string]V
	suffixes map[string]V // ".example.org" for *.example.org
	prefixes map[string]V // "www.example." for www.example.*
}

// Add adds a name or mask. A name that already has another value keeps it, as in nginx.
func (t *Table[V]) Add(name string, v V) error {
	switch {
	case strings.Count(name, "*") > 1 || strings.Contains(name, "..") || strings.Contains(name, "\x00"):
		return ErrInvalid
	case strings.HasPrefix(name, ".") && len(name) > 1 && !strings.Contains(name, "*"):
		if err := put(&t.exact, name[1:], v); err != nil {
			return err
		}
		return put(&t.suffixes, name, v)
	case strings.HasPrefix(name, "*.") && len(name) > 2:
		return put(&t.suffixes, name[1:], v)
	case strings.HasSuffix(name, ".*") && len(name) > 2:
		return put(&t.prefixes, name[:len(name)-1], v)
	case strings.Contains(name, "*"):
		return ErrInvalid
	}
	return put(&t.exact, name, v)
}

// AddExact adds a name in which an asterisk is literal.
func (t *Table[V]) AddExact(name string, v V) error { return put(&t.exact, name, v) }

func put[V comparable](table *map[string]V, key string, v V) error {
	if old, taken := (*table)[key]; taken && old != v {
		return ErrTaken
	}
	if *table == nil {
		*table = map[string]V{}
	}
	(*table)[key] = v
	return nil
}

// Find returns the value of a name in lower case: its own, else that of the longest mask that begins with an asterisk,
// else of the longest that ends with one. It does not allocate.
func (t *Table[V]) Find(name []byte) (v V, found bool) {
	if v, found = t.exact[string(name)]; found {
		return v, true
	}
	if len(t.suffixes) > 0 {
		for at := bytes.IndexByte(name, '.'); at >= 0; {
			if v, found = t.suffixes[string(name[at:])]; found { // ".example.org", too
				return v, true
			}
			next := bytes.IndexByte(name[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	if len(t.prefixes) > 0 {
		for at := bytes.LastIndexByte(name, '.'); at > 0; at = bytes.LastIndexByte(name[:at], '.') {
			if v, found = t.prefixes[string(name[:at+1])]; found {
				return v, true
			}
		}
	}
	return *new(V), false
}
