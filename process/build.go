package process

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"starling/nginx/version"
)

// build identifies this program precisely enough for a bug report.
type build struct {
	Version  string `json:"version"`
	Nginx    string `json:"nginx"`  // the release whose behaviour it has
	Commit   string `json:"commit"` // "" when it was built without the repository
	Dirty    bool   `json:"dirty"`  // built from files that differ from the commit
	Time     string `json:"commit_time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{
		Version: version.Starling, Nginx: version.Nginx,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, known := debug.ReadBuildInfo()
	if !known {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

func (b build) text() string {
	commit := "unknown: built without the repository"
	if b.Commit != "" {
		commit = b.Commit + " of " + b.Time
	}
	if b.Dirty {
		commit += ", with changes that are not committed"
	}
	return fmt.Sprintf("starling %s\ncommit    %s\nnginx     %s is the behaviour it follows\n"+
		"go        %s\nplatform  %s\n",
		b.Version, commit, b.Nginx, b.Go, b.Platform)
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "show version, commit, Go version and platform",
		RunE: func(c *cobra.Command, _ []string) error {
			if !asJSON {
				_, err := fmt.Fprint(c.OutOrStdout(), thisBuild().text())
				return err
			}
			out := json.NewEncoder(c.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(thisBuild())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}
