// Package conf knows the language of nginx.conf: text becomes a tree of nodes (Parse), the tree is checked
// against the declarations of modules and bound to their settings (Binder). It knows no single directive.
//
// It is pure: files come in as an fs.FS, and what setters need from elsewhere comes in as an environment.
package conf
