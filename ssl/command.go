package ssl

import (
	"fmt"
	"slices"
	"strings"
)

// unsupportedCommands are commands of SSL_CONF_cmd that Go's TLS does not support.
var unsupportedCommands = []string{
	"SignatureAlgorithms",
	"ClientSignatureAlgorithms",
	"DHParameters",
	"RecordPadding",
	"NumTickets",
	"ServerInfoFile",
	"VerifyMode",
	"VerifyCAFile",
	"VerifyCAPath",
	"VerifyCAStore",
	"ChainCAFile",
	"ChainCAPath",
	"ChainCAStore",
	"RequestCAFile",
	"RequestCAPath",
	"RequestCAStore",
	"ClientCAFile",
	"ClientCAPath",
	"ClientCAStore",
	"ECDHParameters",
	"Certificate",
	"PrivateKey",
}

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

// applyCommands applies the ssl_conf_command lines to the settings, in order, on top of the directives.
func (c *Common) applyCommands() (noTickets bool, warnings []string, err error) {
	for _, command := range c.Commands {
		name, value := command[0], command[1]
		failed := func(why string) error { return fmt.Errorf("SSL_CONF_cmd(%q, %q) failed (%s)", name, value, why) }
		switch strings.ToLower(name) {
		case "minprotocol", "maxprotocol":
			if !c.limitProtocols(value, strings.EqualFold(name, "minprotocol")) {
				return false, nil, failed("bad value")
			}
		case "protocol":
			if !c.chooseProtocols(value) {
				return false, nil, failed("bad value")
			}
		case "cipherstring":
			c.Ciphers = value
		case "curves", "groups":
			c.Curves = value
		case "ciphersuites":
			for s := range strings.SplitSeq(value, ":") {
				if !slices.ContainsFunc(suites13, func(known suite) bool { return known.name == s }) {
					return false, nil, failed("no cipher match")
				}
			}
			warnings = append(warnings, "Ciphersuites has no effect: all TLS 1.3 cipher suites are always enabled")
		case "options":
			off, notes, ok := options(value)
			if !ok {
				return false, nil, failed("bad value")
			}
			noTickets = noTickets || off
			warnings = append(warnings, notes...)
		default:
			if slices.ContainsFunc(unsupportedCommands, func(s string) bool { return strings.EqualFold(s, name) }) {
				return false, nil, fmt.Errorf("SSL_CONF_cmd %q is not supported by starling", name)
			}
			return false, nil, failed("unknown cmd name")
		}
	}
	return noTickets, warnings, nil
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

func options(value string) (noTickets bool, warnings []string, ok bool) {
	for word := range strings.SplitSeq(value, ",") {
		name, off := strings.CutPrefix(strings.TrimSpace(word), "-")
		name = strings.TrimPrefix(name, "+")
		if !slices.Contains(sslOptions, name) {
			return false, nil, false
		}
		if name == "SessionTicket" {
			noTickets = off
			continue
		}
		warnings = append(warnings, fmt.Sprintf("option %q of Options has no effect: it cannot be changed", name))
	}
	return noTickets, warnings, true
}
