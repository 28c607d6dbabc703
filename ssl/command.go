package ssl

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// unsupportedCommands are commands of SSL_CONF_cmd that restrict or select something that Go's TLS does not let one
// restrict, with what to do.
var unsupportedCommands = map[string]string{
	"SignatureAlgorithms":       "remove it: the library has only algorithms that are considered secure",
	"ClientSignatureAlgorithms": "remove it: the library has only algorithms that are considered secure",
	"RecordPadding":             "remove it: records cannot be padded",
	"ServerInfoFile":            "remove it: extensions cannot be added to the handshake",
	"VerifyMode":                "use ssl_verify_client, or proxy_ssl_verify",
	"VerifyCAFile":              "use ssl_trusted_certificate, or proxy_ssl_trusted_certificate",
	"VerifyCAPath":              "use ssl_trusted_certificate, or proxy_ssl_trusted_certificate",
	"VerifyCAStore":             "use ssl_trusted_certificate, or proxy_ssl_trusted_certificate",
	"ChainCAFile":               "append the chain to the certificate's file",
	"ChainCAPath":               "append the chain to the certificate's file",
	"ChainCAStore":              "append the chain to the certificate's file",
	"RequestCAFile":             "use ssl_client_certificate",
	"RequestCAPath":             "use ssl_client_certificate",
	"RequestCAStore":            "use ssl_client_certificate",
	"ClientCAFile":              "use ssl_client_certificate",
	"ClientCAPath":              "use ssl_client_certificate",
	"ClientCAStore":             "use ssl_client_certificate",
}

// fileCommands are commands whose value is a file, relative to the configuration.
var fileCommands = []string{"certificate", "privatekey", "dhparameters"}

// sslOptions are the words of the Options command. Only SessionTicket can be changed in Go's TLS.
var sslOptions = []string{
	"SessionTicket",
	"Compression",
	"EmptyFragments",
	"Bugs",
	"DHSingle",
	"ECDHSingle",
	"UnsafeLegacyRenegotiation",
	"UnsafeLegacyServerConnect",
	"ClientRenegotiation",
	"EncryptThenMac",
	"NoRenegotiation",
	"AllowNoDHEKEX",
	"PrioritizeChaCha",
	"MiddleboxCompat",
	"AntiReplay",
	"ExtendedMasterSecret",
	"CANames",
	"KTLS",
	"ServerPreference",
	"NoResumptionOnRenegotiation",
	"StrictCertCheck",
	"TxCertificateCompression",
	"RxCertificateCompression",
	"PreferNoDHEKEX",
}

// commanded is what ssl_conf_command lines say beyond the settings that they change.
type commanded struct {
	tickets  *bool // the option SessionTicket
	warnings []string
	// certificate replaces the one of ssl_certificate with the same kind of key.
	certificate CertificateFile
	// dhParameters are files that are not used, but must be what they should be.
	dhParameters []string
}

func (c *commanded) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// applyCommands applies the ssl_conf_command lines to the settings, in order, on top of the directives.
func (c *Common) applyCommands() (*commanded, error) {
	said := &commanded{}
	for _, command := range c.Commands {
		if err := c.apply(command[0], command[1], said); err != nil {
			return nil, err
		}
	}
	if said.certificate.Key == "" && said.certificate.Certificate != "" {
		said.certificate.Key = said.certificate.Certificate
	}
	if said.certificate.Certificate == "" && said.certificate.Key != "" {
		return nil, errors.New("SSL_CONF_cmd \"PrivateKey\" needs \"Certificate\"")
	}
	return said, nil
}

func (c *Common) apply(name, value string, said *commanded) error {
	failed := func(why string) error {
		return fmt.Errorf("SSL_CONF_cmd(\"%s\", \"%s\") failed (%s)", name, value, why)
	}
	switch strings.ToLower(name) {
	case "minprotocol", "maxprotocol":
		if !c.limitProtocols(value, strings.EqualFold(name, "minprotocol")) {
			return failed("bad value")
		}
	case "protocol":
		if !c.chooseProtocols(value) {
			return failed("bad value")
		}
	case "cipherstring":
		c.Ciphers = value
	case "curves", "groups", "ecdhparameters":
		if value == "" {
			return failed("bad value")
		}
		c.Curves = strings.TrimPrefix(value, "+") // ECDHParameters of OpenSSL 1.0.1: +Automatic
		if strings.EqualFold(c.Curves, "automatic") {
			c.Curves = "auto"
		}
	case "ciphersuites":
		for s := range strings.SplitSeq(value, ":") {
			if !slices.ContainsFunc(suites13, func(known suite) bool { return known.name == s }) {
				return failed("no cipher match")
			}
		}
		said.warn("Ciphersuites has no effect: all TLS 1.3 cipher suites are always enabled")
	case "options":
		if !options(value, said) {
			return failed("bad value")
		}
	case "certificate":
		said.certificate.Certificate = value
	case "privatekey":
		said.certificate.Key = value
	case "dhparameters":
		said.dhParameters = append(said.dhParameters, value)
		said.warn("%s has no effect: %s", name, noDH)
	case "numtickets":
		count, err := strconv.Atoi(value)
		if err != nil || count < 0 {
			return failed("bad value")
		}
		if on := count > 0; !on {
			said.tickets = &on
		} else if count > 1 {
			said.warn("NumTickets has no effect: the library sends one ticket")
		}
	default:
		for known, advice := range unsupportedCommands {
			if strings.EqualFold(known, name) {
				return fmt.Errorf("SSL_CONF_cmd \"%s\" is not supported by starling: %s", name, advice)
			}
		}
		return failed("unknown cmd name")
	}
	return nil
}

func (c *Common) limitProtocols(value string, lower bool) bool {
	if value == "None" {
		return true
	}
	limit, ok := protocolNames[value]
	if value == "TLSv1.0" {
		limit, ok = TLS10, true
	}
	if !ok || limit == 0 && !lower {
		return false
	}
	if lower {
		// OpenSSL's bounds replace those of the directive.
		c.Protocols = (c.Protocols | allProtocols) &^ (limit - 1)
		if limit == 0 {
			c.Protocols = allProtocols
		}
		return true
	}
	c.Protocols &= limit<<1 - 1
	return true
}

// chooseProtocols reads "-ALL,TLSv1.2" and the like.
func (c *Common) chooseProtocols(value string) bool {
	for word := range strings.SplitSeq(value, ",") {
		name, off := strings.CutPrefix(strings.TrimSpace(word), "-")
		name = strings.TrimPrefix(name, "+")
		set, ok := protocolNames[name]
		if name == "ALL" {
			set, ok = allProtocols, true
		}
		switch {
		case !ok:
			return false
		case off:
			c.Protocols &^= set
		default:
			c.Protocols |= set
		}
	}
	return true
}

// options reads the words of Options; false means a bad value.
func options(value string, said *commanded) bool {
	for word := range strings.SplitSeq(value, ",") {
		name, off := strings.CutPrefix(strings.TrimSpace(word), "-")
		name = strings.TrimPrefix(name, "+")
		if !slices.Contains(sslOptions, name) {
			return false
		}
		if name == "SessionTicket" {
			on := !off
			said.tickets = &on
			continue
		}
		said.warn("option \"%s\" of Options has no effect: it cannot be changed", name)
	}
	return true
}
