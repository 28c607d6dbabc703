package core

import "starling/conf"

const locationsIf = locations | conf.LocationIf

// off is the one list of directives for what starling does not have, of which the value is accepted that says so: company files switch
// off by name what they do not want. What nginx takes besides is refused.
var off = []struct {
	name, accepted, refused string
	in                      conf.Context
	lacks                   string
}{
	{"autoindex", "off", "on", locations, "lists of a directory's files"},
	{"charset", "off", "<charset>", locationsIf, "charsets added to a response's type"},
	{"override_charset", "off", "on", locationsIf, "charsets added to a response's type"},
	{"dav_methods", "off", "<method>...", locations, "methods that write files"},
	{"create_full_put_path", "off", "on", locations, "methods that write files"},
	{"disable_symlinks", "off", "on|if_not_owner [from=<part>]", locations, "checks of symbolic links"},
	{"gunzip", "off", "on", locations, "decompression for clients"},
	{"gzip_static", "off", "on|always", locations, "files that are already compressed"},
	{"msie_refresh", "off", "on", locations, "redirects for old browsers"},
	{"proxy_cache", "off", "<zone>", locations, "cache"},
	{"proxy_force_ranges", "off", "on", locations, "parts of a server's response"},
	{"proxy_limit_rate", "0", "<rate>", locations, "limit for what it reads from servers"},
	{"proxy_store", "off", "on | <string>", locations, "copies of responses in files"},
	{"random_index", "off", "on", conf.Location, "index files taken at random"},
	{"slice", "0", "<size>", locations, "requests in slices"},
	{"ssi", "off", "on", locationsIf, "server side includes"},
	{"ssl_early_data", "off", "on", conf.HTTP | conf.Server, "early data"},
	{"ssl_ocsp", "off", "on|leaf", secured, "checks of clients by OCSP"},
	{"ssl_stapling", "off", "on", secured, "staples of OCSP"},
	{"ssl_stapling_verify", "off", "on", secured, "staples of OCSP"},
}

// secured are the levels where TLS is set up.
const secured = conf.HTTP | conf.Server | conf.Stream | conf.StreamServer

// Off is the family of directives whose feature is not there.
func Off() *conf.Module {
	m := &conf.Module{
		Name:  "off",
		Doc:   "Directives of features that Starling does not support. Only the value that switches the feature off is accepted.",
		New:   conf.NewOf[struct{}],
		Clone: conf.CloneOf[struct{}],
	}
	for _, d := range off {
		m.Directives = append(m.Directives, conf.Directive{Name: d.name, Syntax: d.accepted, Refused: d.refused, In: d.in,
			Doc: "Accepted only with the value that switches it off. Not supported: " + d.lacks + ".",
			Set: func(any, *conf.Args) error { return nil }})
	}
	return m
}
