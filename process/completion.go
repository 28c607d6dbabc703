package process

import (
	"strings"

	"github.com/spf13/cobra"

	"starling/plan"
)

const completionName = "completion"

// addCompletion lets cobra add its command that writes completions, for the shells of the supported systems.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd(completionName)
	for _, c := range root.Commands() {
		if c.Name() != completionName {
			continue
		}
		c.Short = "write the completions for a shell: bash, zsh or fish"
		for _, shell := range c.Commands() {
			if shell.Name() == "powershell" {
				c.RemoveCommand(shell)
			}
		}
	}
}

// nginxFlag describes one of nginx's flags for completions and the man page; parseFlags uses it.
type nginxFlag struct {
	letter byte
	value  string // name of its value; "" for none
	does   string
}

// nginxFlags lists the flags in the order of usage.
var nginxFlags = []nginxFlag{
	{'h', "", "show the flags and commands, and exit (also -?)"},
	{'v', "", "show the version and exit"},
	{'V', "", "show version and configure options, and exit"},
	{'t', "", "test the configuration and exit"},
	{'T', "", "test the configuration, dump it and exit"},
	{'q', "", "suppress messages that are no errors while the configuration is tested"},
	{'s', "signal", "send a signal to the running process: stop, quit, reopen, reload"},
	{'p', "prefix", "set the prefix path (default: " + DefaultPrefix + ")"},
	{'e', "filename", "set the error log file (default: " + plan.SystemErrorLog + ")"},
	{'c', "filename", "set the configuration file (default: " + DefaultConf + ")"},
	{'g', "directives", "set global directives out of the configuration file"},
}

// completeFlags completes nginx's flags and their values; subcommands are completed by cobra.
func completeFlags(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		switch args[len(args)-1] {
		case "-s":
			return []cobra.Completion{"stop", "quit", "reopen", "reload"}, cobra.ShellCompDirectiveNoFileComp
		case "-p":
			return nil, cobra.ShellCompDirectiveFilterDirs
		case "-c", "-e":
			return nil, cobra.ShellCompDirectiveDefault
		case "-g":
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	var out []cobra.Completion
	if len(args) > 0 || strings.HasPrefix(word, "-") {
		for _, f := range nginxFlags {
			out = append(out, cobra.CompletionWithDesc("-"+string(f.letter), f.does))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
