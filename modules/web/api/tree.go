package api

import (
	"strings"

	"starling/admin"
)

// firstVersion and lastVersion are the API versions answered. Clients request the list and use the highest that they
// know.
const (
	firstVersion = 1
	lastVersion  = 9
)

// tree finds resources by path and lists the names below a path that is not a resource itself.
type tree struct{ root node }

type node struct {
	name     string
	resource *admin.Resource
	children []*node // in the order of the catalog
}

func newTree(resources []admin.Resource) *tree {
	t := &tree{}
	for i := range resources {
		at := &t.root
		for _, name := range strings.Split(resources[i].Path, "/") {
			at = at.childOrNew(name)
		}
		at.resource = &resources[i]
	}
	return t
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (n *node) childOrNew(name string) *node {
	c := n.child(name)
	if c == nil {
		c = &node{name: name}
		n.children = append(n.children, c)
	}
	return c
}

// since is the first version that shows a node: the lowest of all below it.
func (n *node) since() int {
	least := lastVersion + 1
	if n.resource != nil {
		least = n.resource.Since
	}
	for _, c := range n.children {
		least = min(least, c.since())
	}
	return least
}

// find returns the resource at the start of a path and the rest of the path. For a path that ends above the resources
// it returns the names below it instead.
func (t *tree) find(version int, path []string) (resource *admin.Resource, tail, names []string) {
	at := &t.root
	for i, name := range path {
		next := at.child(name)
		if next == nil || next.since() > version {
			if at.resource == nil || at.resource.Since > version {
				return nil, nil, nil
			}
			return at.resource, path[i:], nil
		}
		at = next
	}
	if at.resource != nil && at.resource.Since <= version {
		return at.resource, nil, nil
	}
	names = []string{}
	for _, c := range at.children {
		if c.since() <= version {
			names = append(names, c.name)
		}
	}
	return nil, nil, names
}

// splitPath splits a path at its slashes; leading and trailing slashes do not count, because clients differ in them.
func splitPath(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
