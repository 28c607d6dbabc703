package process

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starling/lib/similar"
	"starling/process/arguments"
	"starling/process/authority"
	"starling/process/demo"
	"starling/process/remote"
)

// commands lists the subcommands in the order of the help. Each is a file and a line here; help, man page and
// completions follow.
func commands() []*cobra.Command {
	return []*cobra.Command{
		demo.Command(),
		remote.StatusCommand(),
		remote.TopCommand(),
		remote.KeyvalCommand(),
		remote.DrainCommand(),
		authority.Command(),
		checkCommand(),
		containerCommand(),
		upgradeCommand(),
		versionCommand(),
		manCommand(),
	}
}

// The exit statuses of subcommands. A command can have more by returning an exitStatus.
const (
	statusFailed = 1 // the command was understood and failed
	statusUsage  = 2 // the command line is invalid
)

// exitStatus is the error of a command that has already said everything.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// commandTree returns the program with its subcommands for cobra. The flags of nginx are not cobra's: the program
// parses them itself, and the tree only completes them.
func commandTree() *cobra.Command {
	root := &cobra.Command{
		Use: program,
		Short: "reverse proxy and load balancer that shares its runtime state with the nodes of its " +
			"cluster",
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeFlags,
	}
	root.AddCommand(commands()...)
	root.SetHelpCommand(helpCommand())
	ofCommand := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c.HasParent() {
			ofCommand(c, args)
			return
		}
		fmt.Fprint(c.OutOrStdout(), usageText())
	})
	root.InitDefaultHelpCmd()
	addCompletion(root)
	root.SetFlagErrorFunc(unknownOption)
	requireKnownWords(root)
	return root
}

// runCommand runs a subcommand and returns the exit status.
func runCommand(args []string, stdout, stderr io.Writer) int {
	root := commandTree()
	understood := false
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	root.SetOut(stdout)
	root.SetErr(stderr)
	if args[0] != containerName { // which has nginx's flags
		args = doubleDashes(args)
	}
	root.SetArgs(args)
	command, err := root.ExecuteC()
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(stderr, "%s: %v\n", command.CommandPath(), err)
	if understood {
		return statusFailed
	}
	fmt.Fprintf(stderr, "Run \"%s -h\" for usage.\n", command.CommandPath())
	return statusUsage
}

// doubleDashes allows long options with one dash, as in Go's own tools: no subcommand has one-letter options that could
// be joined.
func doubleDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && !strings.ContainsAny(a[1:2], "0123456789.") {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

// requireKnownWords makes every argument that no command accepts an error. Cobra alone shows the help of a command that
// has only subcommands, with exit status 0.
func requireKnownWords(c *cobra.Command) {
	if c.HasParent() && c.HasSubCommands() && !c.Runnable() {
		c.RunE = func(*cobra.Command, []string) error { return nil } // Args has refused everything
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("needs a subcommand: %s", strings.Join(names(c), ", "))
			}
			return unknownCommand(c, args[0])
		}
	}
	if !c.HasParent() {
		c.Args = func(c *cobra.Command, args []string) error { return unknownCommand(c, args[0]) }
		c.RunE = func(*cobra.Command, []string) error { return nil }
	}
	if c.Args == nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return arguments.Unknown(c, args[0])
		}
	}
	for _, sub := range c.Commands() {
		requireKnownWords(sub)
	}
}

// names returns the names of the subcommands that the help shows.
func names(c *cobra.Command) []string {
	var out []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			out = append(out, sub.Name())
		}
	}
	return out
}

// helpCommand differs from cobra's in that an unknown topic is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "explain a command, or list all",
		Args: func(c *cobra.Command, args []string) error {
			topic := c.Root()
			for _, word := range args {
				next := child(topic, word)
				if next == nil {
					return unknownCommand(topic, word)
				}
				topic = next
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			topic := c.Root()
			for _, word := range args {
				topic = child(topic, word)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
		ValidArgsFunction: func(
			c *cobra.Command, args []string, _ string,
		) ([]cobra.Completion, cobra.ShellCompDirective) {
			topic := c.Root()
			for _, word := range args {
				if topic = child(topic, word); topic == nil {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
			}
			return names(topic), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// child returns the subcommand of that name, or nil.
func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// usageText is the help of the program: nginx's, and the subcommands.
func usageText() string {
	var b strings.Builder
	b.WriteString(usage)
	b.WriteString("Commands (\"" + program + " help COMMAND\" explains one):\n")
	for _, sub := range commandTree().Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			fmt.Fprintf(&b, "  %-13s : %s\n", sub.Name(), sub.Short)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func unknownCommand(c *cobra.Command, word string) error {
	known := names(c)
	switch alike := similar.Of(word, known); {
	case alike != "":
		return fmt.Errorf("unknown command %q: did you mean %q?", word, alike)
	case len(known) == 0:
		return fmt.Errorf("unknown command %q: %q has no commands below it", word, c.CommandPath())
	}
	return fmt.Errorf("unknown command %q: there are %s", word, strings.Join(known, ", "))
}

// unknownOption adds the option that was probably meant to pflag's error.
func unknownOption(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if alike := arguments.SimilarOption(c, unknown.GetSpecifiedName()); alike != "" {
			return fmt.Errorf("unknown option %q: did you mean %q?", "--"+unknown.GetSpecifiedName(), alike)
		}
	}
	return err
}
