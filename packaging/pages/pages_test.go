package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinksOfThePackageLeadSomewhere: all that is shipped, and each link of it is to something that is shipped.
func TestLinksOfThePackageLeadSomewhere(t *testing.T) {
	to := t.TempDir()
	if err := ship(os.DirFS("../.."), to); err != nil {
		t.Fatal(err)
	}
	links := 0
	code := regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
	err := filepath.WalkDir(to, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".md" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			target, _, _ := strings.Cut(l[2], "#")
			if strings.Contains(target, ":") || target == "" {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), target)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		return nil
	})
	if err != nil || links < 50 {
		t.Fatalf("%d links: %v", links, err)
	}
	readme, err := os.ReadFile(filepath.Join(to, "README.md"))
	if err != nil || !strings.Contains(string(readme), "(docs/operating.md)") || strings.Contains(string(readme), "(ARCHITECTURE.md)") {
		t.Errorf("README.md: %v\n%s", err, readme)
	}
}
