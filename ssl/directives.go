package ssl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/conf"
)

// Bound are the ssl_* directives of one block. Both sides embed it in their settings; C is the type that their
// variables are of.
type Bound[C any] struct {
	ServerSettings
	// HandshakeTimeout is stream's ssl_handshake_timeout; http bounds a handshake by client_header_timeout.
	HandshakeTimeout time.Duration

	// Caches are opened by the owner of the settings.
	Caches

	certificates, keys []name[C]
	cache              *CertificateCache
	dhParameters       dhParameters
}

// Caches are ssl_session_cache and ssl_ocsp_cache.
type Caches struct{ SessionCache, StatusCache CacheWords }

// NewBound returns nginx's defaults.
func NewBound[C any]() Bound[C] { return Bound[C]{ServerSettings: NewServerSettings()} }

// HasCertificates means that ssl_certificate was given.
func (b *Bound[C]) HasCertificates() bool { return len(b.certificates) > 0 }

// Pair matches certificates with their keys, after all directives of a block were read. It sets Certificates if their
// names are known; otherwise it returns their finder.
func (b *Bound[C]) Pair(env Env) (*Finder[C], error) {
	if len(b.keys) < len(b.certificates) {
		last := b.certificates[len(b.certificates)-1].Text()
		return nil, fmt.Errorf("no \"ssl_certificate_key\" is defined for certificate \"%s\"", shown(last))
	}
	if err := b.dhParameters.check(b.Ciphers, env.ReadFile); err != nil {
		return nil, err
	}
	b.Certificates = nil
	f := &Finder[C]{loader: Loader{Read: env.ReadFile, Absolute: env.ConfPath, Cache: b.cache}}
	fixed := true
	for i := range b.certificates {
		p := pair[C]{b.certificates[i], b.keys[i]}
		f.pairs = append(f.pairs, p)
		fixed = fixed && p.fixed()
		b.Certificates = append(b.Certificates, p.file(&f.loader))
	}
	if fixed {
		return nil, nil
	}
	b.Certificates = nil
	return f, f.loader.ReadPasswords(b.PasswordFile)
}

// Env is what settings need of the plan in conf.Args.Env: absolute paths of the configuration's files, the files, and
// steps after all of them were bound.
type Env interface {
	ConfPath(path string) string
	ReadFile(path string) ([]byte, error)
	OnLink(step func() error)
}

// credential reads the name of a certificate or key without variables.
func credential(a *conf.Args) (string, error) {
	name := a.Words[0]
	if path, isPath := pathOf(name); isPath && path != name {
		return storeScheme + a.Env.(Env).ConfPath(path), nil
	}
	if scheme(name) == "" {
		return file(a)
	}
	return name, checkScheme(name)
}

// file reads the path of a file.
func file(a *conf.Args) (string, error) {
	path := a.Words[0]
	if strings.Contains(path, "$") {
		return "", conf.NotSupportedf(a.Node.Name, "variables in \"%s\" are not supported by starling", a.Node.Name).
			Advise("write the name of the file itself")
	}
	if s := scheme(path); s != "" {
		return "", conf.Unsupported(s)
	}
	if path == "" {
		return "", nil
	}
	return a.Env.(Env).ConfPath(path), nil
}

// passwordFile reads the path of a file with passwords. The file must be readable even if no key needs it, as in nginx.
func passwordFile(a *conf.Args) (string, error) {
	env := a.Env.(Env)
	if a.Words[0] == "" {
		return "", fmt.Errorf("read() \"%s\" failed (21: Is a directory)", env.ConfPath(""))
	}
	path, err := file(a)
	env.OnLink(func() error {
		if _, err := readPasswords(path, env.ReadFile); err != nil {
			return conf.At(a.Node, "%s", err)
		}
		return nil
	})
	return path, err
}

// words is a family of TLS directives being declared: one prefix, one set of contexts.
type words struct {
	prefix string
	in     conf.Context
	list   []conf.Directive
}

func (w *words) add(name, syntax, standard, doc string, set conf.Setter) {
	w.list = append(w.list, conf.Directive{
		Name: w.prefix + name, Syntax: syntax, Default: standard, In: w.in, Doc: doc, Set: set,
	})
}

func (w *words) repeat() { w.list[len(w.list)-1].Repeat = true }

// ServerDirectives declares the ssl_* directives that http and stream share. place finds the Bound in a module's
// settings.
func ServerDirectives[S, C any](in conf.Context, compile Compile[C], place func(*S) *Bound[C]) []conf.Directive {
	w := &words{prefix: "ssl_", in: in}
	common(w, func(s *S) *Common { return &place(s).Common })
	w.add("certificate", "<file>", "", "Sets the file with the server's certificate and intermediate certificates in "+
		"PEM format, or `data:` and the PEM text. It can be repeated for several key types. With variables "+
		"($ssl_server_name), the file is read for each handshake; a client whose server name is not safe in a path is "+
		"rejected.",
		conf.List(func(s *S) *[]name[C] { return &place(s).certificates }, compile.name))
	w.repeat()
	w.add("certificate_key", "<file>", "", "Sets the file with the private key of the certificate in PEM format, or "+
		"`data:` and the PEM text, or `store:` and the URI of a file (PEM or DER). It can contain variables.",
		conf.List(func(s *S) *[]name[C] { return &place(s).keys }, compile.name))
	w.repeat()
	w.add("certificate_cache", "<parameter>...", "off", "Caches certificates and keys whose paths contain variables: "+
		"at most `max=` certificates and keys, until `inactive=` (10s) after their last use; changes to the file are "+
		"checked every `valid=` (60s). Encrypted keys are not cached.",
		conf.Whole(func(s *S) **CertificateCache { return &place(s).cache }, parseCertificateCache))
	w.add("verify_client", "on|off|optional|optional_no_ca", "off", "Enables verification of client certificates.",
		conf.Field(func(s *S) *VerifyClient { return &place(s).VerifyClient }, conf.OneOf(VerifyClientWords)))
	w.add("client_certificate", "<file>", "", "Sets the file with CA certificates for verifying clients; their names "+
		"are sent to clients.",
		conf.Whole(func(s *S) *string { return &place(s).ClientCA }, file))
	w.add("session_tickets", "on | off", "on", "Enables session resumption with tickets.",
		conf.Field(func(s *S) *bool { return &place(s).NoTickets }, func(text string) (bool, error) {
			on, err := conf.Flag(text)
			return !on, err
		}))
	w.add("session_ticket_key", "<file>", "", "Sets a file of 48 or 80 bytes with the ticket keys, so that nodes "+
		"accept each other's tickets. The first file encrypts new tickets. Without it, keys are made and rotated as "+
		"in nginx, and a reload keeps them.",
		conf.List(func(s *S) *[]string { return &place(s).TicketKeys }, file))
	w.repeat()
	w.add("session_cache", "<kind>...", "none", "Sets the session cache used when tickets are off: `shared:name:size` "+
		"for all servers with that name, `builtin[:sessions]` for one. It has no effect with tickets.",
		conf.Whole(func(s *S) *CacheWords { return &place(s).SessionCache }, parseSessionCache))
	w.add("session_timeout", "<time>", "5m", "Sets how long a session can be resumed, by ticket or from the cache.",
		conf.Field(func(s *S) *time.Duration { return &place(s).SessionTimeout }, conf.Seconds))
	w.add("prefer_server_ciphers", "on | off", "off", "Accepted for compatibility, no effect: the TLS library orders "+
		"ciphers by hardware support.",
		conf.Raw(func(_ *S, a *conf.Args) error {
			a.Ignore("the TLS library orders ciphers by hardware support")
			return nil
		}))
	addStatus(w, place)
	w.add("dhparam", "<file>", "", "Accepted for compatibility, no effect: "+noDH+".",
		conf.Whole(func(s *S) *dhParameters { return &place(s).dhParameters }, readDHParameters))
	w.add("certificate_compression", "on | off", "off", "Accepted for compatibility, no effect: "+noCompression+".",
		conf.Raw(func(_ *S, a *conf.Args) error {
			on, err := conf.Flag(a.Words[0])
			if on {
				a.Ignore(noCompression)
			}
			return err
		}))
	w.add("reject_handshake", "on | off", "off", "Rejects all TLS handshakes of the server.",
		conf.Field(func(s *S) *bool { return &place(s).RejectHandshake }, conf.Flag))
	return w.list
}

// addStatus declares ssl_ocsp and ssl_stapling.
func addStatus[S, C any](w *words, place func(*S) *Bound[C]) {
	w.add("ocsp", "on|off|leaf", "off", "Asks OCSP responders about the certificates of clients that verify: of "+
		"all of the chain but the root, or of the client's own (`leaf`). A client is rejected if its status is not "+
		"good, or not known in time (client_header_timeout; in stream ssl_handshake_timeout).",
		conf.Field(func(s *S) *StatusChecks { return &place(s).StatusChecks }, conf.OneOf(StatusCheckWords)))
	w.add("ocsp_responder", "<url>", "", "Sets the OCSP responder (`http://`) for ssl_ocsp, instead of those that the "+
		"certificates name, whose names need a resolver.",
		conf.Field(func(s *S) *string { return &place(s).StatusResponder }, conf.String))
	w.add("ocsp_cache", "off | shared:<name>:<size>", "off", "Caches the statuses of clients' certificates, for all "+
		"servers with that name.",
		conf.Whole(func(s *S) *CacheWords { return &place(s).StatusCache }, parseStatusCache))
	w.add("stapling", "on | off", "off", "Staples answers of OCSP responders about the server's certificates to "+
		"handshakes. No handshake waits for them: they are fetched and renewed meanwhile, and a reload keeps them. "+
		"The issuer's certificate must be in ssl_certificate or in ssl_trusted_certificate.",
		conf.Field(func(s *S) *bool { return &place(s).Stapling.On }, conf.Flag))
	w.add("stapling_file", "<file>", "", "Sets a file with an answer in DER format to staple, instead of asking.",
		conf.Whole(func(s *S) *string { return &place(s).Stapling.File }, file))
	w.add("stapling_responder", "<url>", "", "Sets the OCSP responder (`http://`) for ssl_stapling, instead of the "+
		"one that the certificate names.",
		conf.Field(func(s *S) *string { return &place(s).Stapling.Responder }, conf.String))
	w.add("stapling_verify", "on | off", "off", "Verifies the signer of an answer before it is stapled: it must be "+
		"authorized by the certificate's issuer, and in ssl_certificate or trusted by ssl_trusted_certificate.",
		conf.Field(func(s *S) *bool { return &place(s).Stapling.Verify }, conf.Flag))
}

// noCompression completes "no effect: ".
const noCompression = "certificates are sent uncompressed"

// BoundClient are the proxy_ssl_* or zone_sync_ssl_* directives of one block.
type BoundClient struct {
	ClientSettings
	// On is zone_sync_ssl or proxy_ssl.
	On bool
	// Name is the name to verify and, with SendName, to send; empty: the configured name of the server.
	Name     string
	SendName bool

	certificate, key string
}

// NewBoundClient returns nginx's defaults.
func NewBoundClient() BoundClient { return BoundClient{ClientSettings: NewClientSettings()} }

// Pair combines the certificate and its key, after all directives of a block were read. family is their common prefix.
func (b *BoundClient) Pair(family string) error {
	b.Certificates = nil
	switch {
	case b.certificate == "":
		return nil
	case b.key == "":
		return fmt.Errorf("no \"%s_certificate_key\" is defined for certificate \"%s\"", family, b.certificate)
	}
	b.Certificates = []CertificateFile{{Certificate: b.certificate, Key: b.key}}
	return nil
}

// ClientDirectives declares the shared directives of outgoing connections, without those that turn TLS on and name the
// server: family is "zone_sync_ssl" or "proxy_ssl".
func ClientDirectives[S any](family string, in conf.Context, place func(*S) *BoundClient) []conf.Directive {
	w := &words{prefix: family + "_", in: in}
	common(w, func(s *S) *Common { return &place(s).Common })
	w.add("certificate", "<file>", "", "Sets the file with the client certificate in PEM format, or `data:` and the "+
		"PEM text.",
		conf.Whole(func(s *S) *string { return &place(s).certificate }, credential))
	w.add("certificate_key", "<file>", "", "Sets the file with the private key of the certificate in PEM format, or "+
		"`data:` and the PEM text, or `store:` and the URI of a file.",
		conf.Whole(func(s *S) *string { return &place(s).key }, credential))
	w.add("verify", "on | off", "off", "Enables verification of the peer's certificate and name.",
		conf.Field(func(s *S) *bool { return &place(s).Verify }, conf.Flag))
	w.add("server_name", "on | off", "off", "Sends the server name in the handshake (SNI).",
		conf.Field(func(s *S) *bool { return &place(s).SendName }, conf.Flag))
	return w.list
}

// common declares the directives that servers and clients share.
func common[S any](w *words, place func(*S) *Common) {
	w.add("protocols", "<version>...", "TLSv1.2 TLSv1.3", "Sets the TLS versions. Versions between the lowest and the "+
		"highest are always enabled.",
		conf.Whole(func(s *S) *Protocols { return &place(s).Protocols }, func(a *conf.Args) (Protocols, error) {
			return ParseProtocols(a.Words)
		}))
	ciphers := DefaultClientCiphers
	if w.prefix == "ssl_" {
		ciphers = DefaultServerCiphers
	}
	w.add("ciphers", "<list>", ciphers, "Sets the ciphers up to TLS 1.2 in OpenSSL format; TLS 1.3 ciphers are always "+
		"enabled.",
		conf.Field(func(s *S) *string { return &place(s).Ciphers }, conf.String))
	w.add("conf_command", "<name> <value>", "", "Sets an OpenSSL configuration command: Protocol, MinProtocol, "+
		"MaxProtocol, CipherString, Options and others.",
		conf.List(func(s *S) *[][2]string { return &place(s).Commands }, func(a *conf.Args) ([2]string, error) {
			name, value := a.Words[0], a.Words[1]
			if slices.Contains(fileCommands, strings.ToLower(name)) {
				value = a.Env.(Env).ConfPath(value)
			}
			return [2]string{name, value}, nil
		}))
	w.repeat()
	w.add("crl", "<file>", "", "Sets the file with revocation lists (CRLs) in PEM format; every certificate of a "+
		"chain is checked.",
		conf.Whole(func(s *S) *string { return &place(s).CRL }, file))
	w.add("password_file", "<file>", "", "Sets the file with the passwords of encrypted keys, one per line.",
		conf.Whole(func(s *S) *string { return &place(s).PasswordFile }, passwordFile))
	w.add("trusted_certificate", "<file>", "", "Sets the file with CA certificates in PEM format for verifying the "+
		"peer.",
		conf.Whole(func(s *S) *[]string { return &place(s).Trusted }, func(a *conf.Args) ([]string, error) {
			path, err := file(a)
			return []string{path}, err
		}))
	w.add("verify_depth", "<number>", "1", "Sets the maximum depth of the certificate chain.",
		conf.Field(func(s *S) *int { return &place(s).VerifyDepth }, conf.Number))
	if w.prefix == "ssl_" {
		w.add("ecdh_curve", "<curve>", "auto", "Sets the curves for key exchange, separated by colons.",
			conf.Field(func(s *S) *string { return &place(s).Curves }, conf.String))
	}
}
