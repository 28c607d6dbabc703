// Package conf implements the language of nginx.conf: Parse turns text into a tree of nodes, Binder checks the tree
// against the declarations of modules and binds it to their settings. It knows no individual directive.
//
// It is pure: files are passed as an fs.FS, and the environment of setters is an argument.
package conf
