// Package symlink opens files whose paths may have no symbolic links, or only links that have the owner of their
// targets. Each part of a path is opened below the one before it, so that no link can be put in its place meanwhile.
package symlink

// Rule says which symbolic links a path may have.
type Rule int

// The rules.
const (
	Follow    Rule = iota // any
	Reject                // none
	SameOwner             // those that have the owner of what they lead to
)
