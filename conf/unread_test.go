package conf_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
)

// TestMissingIncludesHideNothing: nginx stops at the first file that it cannot read; here all that is wrong is told, in
// the order of the text.
func TestMissingIncludesHideNothing(t *testing.T) {
	files := fstest.MapFS{
		"n.conf":    {Data: []byte("nonsense;\ninclude gone.conf;\ninclude part.conf;\ninclude lost.conf;\nrubbish;\n")},
		"part.conf": {Data: []byte("trash;\n")},
	}
	tree, err := conf.Parse(files, "/n.conf")
	if err == nil || !strings.Contains(err.Error(), "gone.conf") || len(tree.Unread) != 2 {
		t.Fatalf("error %v, %d unread", err, len(tree.Unread))
	}
	b, err := conf.NewBinder(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range b.Bind(tree, nil).Problems {
		got = append(got, p.Name+" "+p.Error())
	}
	want := []string{
		`nonsense unknown directive "nonsense" in /n.conf:1`,
		`include open() "/gone.conf" failed (2: No such file or directory) in /n.conf:2`,
		`trash unknown directive "trash" in /part.conf:1`,
		`include open() "/lost.conf" failed (2: No such file or directory) in /n.conf:4`,
		`rubbish unknown directive "rubbish" in /n.conf:5`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
