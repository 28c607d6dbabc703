// Package arguments checks the arguments of subcommands.
package arguments

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starling/lib/similar"
)

// Exactly is the Args of a command with the named arguments.
func Exactly(what ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > len(what) {
			return Unknown(c, args[len(what)])
		}
		return AtLeast(what...)(c, args)
	}
}

// AtLeast is the Args of a command that takes more of its last argument.
func AtLeast(what ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(what) {
			return fmt.Errorf("%s is missing", what[len(args)])
		}
		return nil
	}
}

// AtMost is the Args of a command that takes so many arguments or fewer.
func AtMost(count int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > count {
			return Unknown(c, args[count])
		}
		return nil
	}
}

// Unknown is the error for an argument that a command does not take.
func Unknown(c *cobra.Command, word string) error {
	if alike := SimilarOption(c, word); alike != "" {
		return fmt.Errorf("unknown argument %q: did you mean %q?", word, alike)
	}
	return fmt.Errorf("unknown argument %q", word)
}

// SimilarOption is the option of a command that a word probably means, or "".
func SimilarOption(c *cobra.Command, word string) string {
	var options []string
	c.Flags().VisitAll(func(f *pflag.Flag) { options = append(options, f.Name) })
	if alike := similar.Of(word, options); alike != "" {
		return "--" + alike
	}
	return ""
}
