package core

import "starling/conf"

// obsolete are the directives for HTTP/2 push: nginx itself accepts them with a warning and ignores them.
func obsolete() (all []conf.Directive) {
	for _, d := range []struct {
		name, syntax string
		in           conf.Context
	}{
		{"http2_push", "<uri>|off", locations},
		{"http2_push_preload", "<value>", locations},
		{"http2_max_concurrent_pushes", "<number>", conf.HTTP | conf.Server},
	} {
		all = append(all, conf.Directive{
			Name: d.name, Syntax: d.syntax, In: d.in, Repeat: true, NoEffect: true,
			Doc: noEffect + "obsolete in nginx too; starling warns of it in the same words.",
			Set: func(_ any, a *conf.Args) error {
				a.Warn("the \"%s\" directive is obsolete, ignored", d.name)
				return nil
			},
		})
	}
	return all
}
