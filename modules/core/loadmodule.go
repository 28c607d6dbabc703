package core

import (
	"path"
	"slices"
	"strings"

	"starling/conf"
)

// loadModule accepts the modules that the files of distributions load. A built-in module needs no loading. A module of
// nginx that starling lacks, or a well-known one of others, causes a warning only: its directives are rejected where
// they are used, and a file that only loads it does not depend on it. An unknown module could change anything and is
// rejected.
var loadModule = conf.Directive{
	Name: "load_module", Syntax: "<file>", In: conf.Main, Repeat: true, NoEffect: true,
	Doc: noEffect + "modules are built in. Starling warns of a module that it lacks, and rejects one that it does " +
		"not know.",
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
		case supported, slices.Contains(builtInOfOthers, name):
			a.Ignore("module \"" + name + "\" is built in")
		case known, conf.IsThirdParty(name):
			a.Warn("module \"%s\" is not supported by starling; directives of it are rejected", name)
		default:
			return conf.NotSupportedf(a.Node.Name, "module \"%s\" is not supported by starling", name)
		}
		return nil
	},
}

// modulesOfFiles maps a file to the module whose directives it provides, if the two have different names.
var modulesOfFiles = map[string]string{
	"ngx_stream_module":            "ngx_stream_core_module",
	"ngx_mail_module":              "ngx_mail_core_module",
	"ngx_http_image_filter_module": "ngx_http_image_module",
	"ngx_http_xslt_filter_module":  "ngx_http_xslt_module",
}

// builtInOfOthers are the modules of others for nginx whose directives starling has.
var builtInOfOthers = []string{
	"ngx_http_brotli_filter_module", "ngx_http_brotli_static_module", "ngx_http_geoip2_module",
	"ngx_http_zstd_filter_module", "ngx_http_zstd_static_module", "ngx_stream_geoip2_module",
}

// mgmt is the block of NGINX Plus for its license and usage reports.
var mgmt = conf.Directive{
	Name: "mgmt", In: conf.Main, Opens: conf.Lines, NoEffect: true,
	Doc: noEffect + noLicence + ".",
	Set: checked("", noLicence),
}

const noLicence = "there is no licence, and nothing is reported"
