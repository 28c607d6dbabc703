package process

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starling/nginx/version"
	"starling/process/arguments"
)

// manCommand writes the man page. Packages call it while they are built; operators do not need it.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the man page starling.8 into a directory",
		Hidden: true,
		Args:   arguments.Exactly("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			return os.WriteFile(filepath.Join(args[0], program+".8"), []byte(manPage(c.Root())), 0o644)
		},
	}
}

// manPage describes flags and subcommands in the man macros. It has no date, so that builds are reproducible.
func manPage(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH STARLING 8 \"\" \"starling %s\" \"System administration\"\n", version.Starling)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", program, roff(root.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n"+
		"[\\-?hvVtTq] [\\-s signal] [\\-p prefix] [\\-e filename] [\\-c filename] [\\-g directives]\n"+
		".br\n.B %[1]s\n.I COMMAND\n[options]\n", program)
	b.WriteString(".SH DESCRIPTION\n" +
		"Starling reads nginx.conf, proxies requests, and shares sticky sessions, request limits and key\\-value " +
		"pairs with the\nother nodes of its cluster. " +
		"Without a command it serves the configuration; the flags are those of nginx.\n")
	b.WriteString(".SH OPTIONS\n")
	for _, f := range nginxFlags {
		fmt.Fprintf(&b, ".TP\n.B \\-%c", f.letter)
		if f.value != "" {
			fmt.Fprintf(&b, " \\fI%s\\fR", f.value)
		}
		fmt.Fprintf(&b, "\n%s\n", roff(f.does))
	}
	b.WriteString(".SH COMMANDS\n")
	manCommands(&b, root)
	b.WriteString(manEnd)
	return b.String()
}

// manCommands writes the commands below one, depth first. The shells of completion do not need a section each.
func manCommands(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		switch {
		case !c.IsAvailableCommand():
		case c.Name() == completionName:
			fmt.Fprintf(b, ".SS %s completion bash|zsh|fish\n%s\n", program, roff(c.Short))
		case c.HasAvailableSubCommands():
			manCommands(b, c)
		default:
			fmt.Fprintf(b, ".SS %s\n%s\n", roff(c.UseLine()), roff(cmp.Or(c.Long, c.Short)))
			manOptions(b, c)
		}
	}
}

func manOptions(b *strings.Builder, c *cobra.Command) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, does := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.B \\-\\-%s", roff(f.Name))
		if name != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(name))
		}
		fmt.Fprintf(b, "\n%s\n", roff(does))
	})
}

// roff escapes text. A line must not begin with a dot or a quote, and empty lines separate paragraphs.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		switch {
		case line == "":
			lines[i] = ".PP"
		case strings.HasPrefix(line, " "):
			lines[i] = ".br\n\\&" + line
		case line[0] == '.' || line[0] == '\'':
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// manEnd has what flags and commands do not.
const manEnd = `.SH SIGNALS
.TP
.B TERM, INT
stop at once
.TP
.B QUIT
stop after the requests that run have ended
.TP
.B HUP
read the configuration, certificates and keys again; nothing changes if something is wrong with them
.TP
.B USR1
open the logs again, after they were moved away
.SH EXIT STATUS
0 if everything went well, 1 if not, 2 if a command was called in a wrong way.
.SH SEE ALSO
.BR nginx (8)
`
