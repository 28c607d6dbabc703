package process

import (
	"errors"
	"fmt"
	"os"
	"regexp"

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

These environment variables change the defaults, as those with NGINX_ do in nginx's image:
  STARLING_ENVSUBST_TEMPLATE_DIR            ` + templateDir + `
  STARLING_ENVSUBST_TEMPLATE_SUFFIX         ` + templateSuffix + `
  STARLING_ENVSUBST_OUTPUT_DIR              ` + outputDir + `
  STARLING_ENVSUBST_STREAM_TEMPLATE_SUFFIX  ` + streamTemplateSuffix + `
  STARLING_ENVSUBST_STREAM_OUTPUT_DIR       ` + streamOutputDir + `
  STARLING_ENVSUBST_FILTER                  a regular expression: only matching names are variables`,
		DisableFlagParsing: true, DisableFlagsInUseLine: true,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFlags,
		RunE: func(c *cobra.Command, args []string) error {
			settings, err := templateSettings(os.LookupEnv)
			if err != nil {
				return err
			}
			status := serve(args, func(o *cycle.Options) { o.FS = templates.Over(o.FS, settings) })
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
}

// templateSettings reads the environment.
func templateSettings(lookup func(string) (string, bool)) (s templates.Settings, err error) {
	get := func(name, otherwise string) string {
		if value, defined := lookup("STARLING_ENVSUBST_" + name); defined {
			return value
		}
		return otherwise
	}
	s = templates.Settings{Dir: get("TEMPLATE_DIR", templateDir), Lookup: lookup, Kinds: []templates.Kind{
		{Suffix: get("TEMPLATE_SUFFIX", templateSuffix), OutputDir: get("OUTPUT_DIR", outputDir)},
		{
			Suffix:    get("STREAM_TEMPLATE_SUFFIX", streamTemplateSuffix),
			OutputDir: get("STREAM_OUTPUT_DIR", streamOutputDir),
		},
	}}
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
