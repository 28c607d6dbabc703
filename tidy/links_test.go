package tidy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	mdCode    = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
)

// TestLinksLeadSomewhere: each relative link of a page names a file or folder that is there, and a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		// A doc.md is a part of a page in docs/reference, and its links start there.
		if err != nil || d.IsDir() || filepath.Ext(file) != ".md" || d.Name() == "doc.md" {
			return err
		}
		page, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, link := range mdLink.FindAllStringSubmatch(mdCode.ReplaceAllString(string(page), ""), -1) {
			if strings.Contains(link[1], ":") { // https: and the like
				continue
			}
			checked++
			to, anchor, _ := strings.Cut(link[1], "#")
			if to = filepath.Join(filepath.Dir(file), to); strings.HasPrefix(link[1], "#") {
				to = file
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link %s: %v", file, link[1], err)
				continue
			}
			if anchor != "" && !anchors(t, to)[anchor] {
				t.Errorf("%s: link %s: %s has no such heading", file, link[1], to)
			}
		}
		return nil
	})
	if err != nil || checked == 0 {
		t.Fatalf("%d links checked: %v", checked, err)
	}
}

// anchors are the headings of a page as links name them.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, heading := range mdHeading.FindAllStringSubmatch(string(page), -1) {
		name := strings.ToLower(strings.TrimSpace(heading[1]))
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}
