// Command pages copies the pages for operators into the folder of a package: README.md, docs, examples and what belongs
// to them. A link to a page that is not copied becomes plain text.
//
//	go run ./packaging/pages FOLDER
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// shipped are the files and folders that a package has, below the root of the repository.
var shipped = []string{"README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "NOTICE", "docs", "examples"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pages FOLDER")
		os.Exit(2)
	}
	if err := ship(os.DirFS("."), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

// ship copies all that is shipped from the root of a repository.
func ship(root fs.FS, to string) error {
	files, err := list(root)
	if err != nil {
		return err
	}
	for _, name := range files {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if path.Ext(name) == ".md" {
			text = []byte(unlinked(root, files, name, string(text)))
		}
		out := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(out, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// list names all files that are shipped.
func list(root fs.FS) (files []string, err error) {
	for _, top := range shipped {
		err = fs.WalkDir(root, top, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

var link = regexp.MustCompile(`\[((?:[^\[\]]|\n)*)\]\(([^)\s]+)\)`)

// unlinked is a page without its links to files that are not shipped.
func unlinked(root fs.FS, files []string, page, text string) string {
	return link.ReplaceAllStringFunc(text, func(whole string) string {
		parts := link.FindStringSubmatch(whole)
		target, _, _ := strings.Cut(parts[2], "#")
		if strings.Contains(target, ":") || target == "" {
			return whole
		}
		to := path.Join(path.Dir(page), target)
		isShipped := slices.ContainsFunc(files, func(f string) bool { return f == to || strings.HasPrefix(f, to+"/") })
		if isShipped {
			return whole
		}
		return parts[1]
	})
}
