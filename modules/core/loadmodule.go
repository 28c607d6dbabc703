package core

import (
	"path"
	"strings"

	"starling/conf"
)

// loadModule accepts what distributions' files load. A module that is built in needs no loading. A module of nginx that
// starling lacks is warned of: without it, its directives are rejected where they stand, and a file that only loads it
// means nothing by it. What is not known may change anything, and is rejected.
var loadModule = conf.Directive{
	Name: "load_module", Syntax: "<file>", In: conf.Main, Repeat: true,
	Doc: noEffect + "modules are built in. Starling warns of a module of nginx that it lacks, and rejects any other.",
	Set: func(_ any, a *conf.Args) error {
		if len(a.Scope.Inner) > 0 {
			return conf.Verdict("is specified too late")
		}
		file := a.Words[0]
		name := strings.TrimSuffix(path.Base(file), ".so")
		module, renamed := modulesOfFiles[name]
		if !renamed {
			module = name
		}
		switch known, supported := a.Supports(module); {
		case supported:
			a.Ignore("module \"" + name + "\" is built in")
		case known:
			a.Warn("module \"%s\" is not supported by starling; directives of it are rejected", name)
		default:
			return conf.NotSupportedf(a.Node.Name,
				"module \"%s\" is not supported by starling; remove the line if nothing needs it", name)
		}
		return nil
	},
}

// modulesOfFiles are the modules whose directives a file brings, where the two have different names.
var modulesOfFiles = map[string]string{
	"ngx_stream_module":            "ngx_stream_core_module",
	"ngx_mail_module":              "ngx_mail_core_module",
	"ngx_http_image_filter_module": "ngx_http_image_module",
	"ngx_http_xslt_filter_module":  "ngx_http_xslt_module",
}

// mgmt is the block of NGINX Plus for its licence and usage reports.
var mgmt = conf.Directive{
	Name: "mgmt", In: conf.Main, Opens: conf.Lines,
	Doc: noEffect + "there is no licence, and nothing is reported.",
	Set: func(_ any, a *conf.Args) error {
		a.Ignore("there is no licence, and nothing is reported")
		return nil
	},
}
