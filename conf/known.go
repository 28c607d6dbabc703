package conf

// KnownDirective is what is known of a directive of nginx or NGINX Plus.
type KnownDirective struct {
	In Context
}

// Known returns the table of directives that nginx and NGINX Plus know.
func Known() map[string]KnownDirective { return nil }
