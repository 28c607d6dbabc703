package process

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"starling/cycle"
	"starling/process/templates"
)

// The folders of templates and of what they make, and the endings of their names, if the environment says nothing: as
// in nginx's image.
const (
	templateDir          = DefaultPrefix + "templates"
	templateSuffix       = ".template"
	outputDir            = DefaultPrefix + "conf.d"
	streamTemplateSuffix = ".stream-template"
	streamOutputDir      = DefaultPrefix + "stream-conf.d"
)

const containerName = "container"

// helpFlags ask for the help of this command. The others are starling's own, which parses them.
var helpFlags = []string{"-h", "-?", "--help"}

// containerCommand serves as the first process of a container.
func containerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   containerName + " [flags of nginx]",
		Short: "serve in the foreground, with environment variables in templates",
		Long: `Serve in the foreground as the first process of a container. Replace environment variables in templates of the
configuration. The flags are the same as those of starling without a command.

Each ` + templateDir + `/NAME` + templateSuffix + ` appears as ` + outputDir + `/NAME, and each NAME` + streamTemplateSuffix + ` as
` + streamOutputDir + `/NAME, with the values of $VARIABLE and ${VARIABLE}. These files are only in memory, so the root
of the container can be read-only. A reload reads the templates again.

A name that is not in the environment stays as it is, because $host and others are variables of the configuration. A
name in upper case that is not in the environment is an error.

$` + resolversVariable + ` contains the name servers of ` + resolvConf + `, for "resolver".

These environment variables change the defaults, as those with NGINX_ do in nginx's image:
  STARLING_ENVSUBST_TEMPLATE_DIR            ` + templateDir + `
  STARLING_ENVSUBST_TEMPLATE_SUFFIX         ` + templateSuffix + `
  STARLING_ENVSUBST_OUTPUT_DIR              ` + outputDir + `
  STARLING_ENVSUBST_STREAM_TEMPLATE_SUFFIX  ` + streamTemplateSuffix + `
  STARLING_ENVSUBST_STREAM_OUTPUT_DIR       ` + streamOutputDir + `
  STARLING_ENVSUBST_FILTER                  a regular expression: only matching names are variables

  ` + watchVariable + `              files and folders, separated by spaces: when one of them has changed, and
                                            has not for ` + watchEvery.String() + `, the configuration is reloaded. For certificates and
                                            volumes of Kubernetes, which change while the container runs`,
		DisableFlagParsing: true, DisableFlagsInUseLine: true,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFlags,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(helpFlags, args[0]) {
				return c.Help()
			}
			settings, err := templateSettings(os.LookupEnv)
			if err != nil {
				return err
			}
			watched, err := watchedPaths(os.Getenv(watchVariable))
			if err != nil {
				return err
			}
			status := serve(args, &contained{
				options: func(o *cycle.Options) { o.FS = templates.Over(o.FS, settings) },
				watched: watched,
			})
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
}

// contained is what differs in a container.
type contained struct {
	// options changes those of the command line.
	options func(*cycle.Options)
	// watched are the paths whose changes reload the configuration.
	watched []string
}

// templateSettings reads the environment.
func templateSettings(lookup func(string) (string, bool)) (s templates.Settings, err error) {
	get := func(name, otherwise string) string {
		if value, defined := lookup("STARLING_ENVSUBST_" + name); defined {
			return value
		}
		return otherwise
	}
	s = templates.Settings{Dir: get("TEMPLATE_DIR", templateDir), Lookup: withResolvers(lookup)}
	s.Kinds = []templates.Kind{
		{Suffix: get("TEMPLATE_SUFFIX", templateSuffix), OutputDir: get("OUTPUT_DIR", outputDir)},
		{
			Suffix:    get("STREAM_TEMPLATE_SUFFIX", streamTemplateSuffix),
			OutputDir: get("STREAM_OUTPUT_DIR", streamOutputDir),
		},
	}
	for _, kind := range s.Kinds {
		if kind.Suffix == "" {
			return s, errors.New("STARLING_ENVSUBST_TEMPLATE_SUFFIX and STARLING_ENVSUBST_STREAM_TEMPLATE_SUFFIX " +
				"must not be empty")
		}
	}
	if filter := get("FILTER", ""); filter != "" {
		if s.Filter, err = regexp.Compile(filter); err != nil {
			return s, fmt.Errorf("STARLING_ENVSUBST_FILTER is no regular expression: %w", err)
		}
	}
	return s, nil
}

const (
	// resolversVariable is a value for the resolver directive, unless the environment has it. nginx's image has
	// NGINX_LOCAL_RESOLVERS if it is asked for.
	resolversVariable = "STARLING_LOCAL_RESOLVERS"
	resolvConf        = "/etc/resolv.conf"
	// maxResolvers is how many name servers of resolv.conf the C library asks, too.
	maxResolvers = 3
)

// withResolvers adds the name servers of the container to the environment.
func withResolvers(lookup func(string) (string, bool)) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if value, defined := lookup(name); defined || name != resolversVariable {
			return value, defined
		}
		system, err := dns.ClientConfigFromFile(resolvConf)
		if err != nil || len(system.Servers) == 0 {
			return "", false
		}
		return resolverAddresses(system.Servers), true
	}
}

// resolverAddresses are name servers in the form of the resolver directive.
func resolverAddresses(servers []string) string {
	var words []string
	for _, server := range servers[:min(len(servers), maxResolvers)] {
		if strings.Contains(server, ":") {
			server = "[" + server + "]"
		}
		words = append(words, server)
	}
	return strings.Join(words, " ")
}
