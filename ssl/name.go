package ssl

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
)

// attributes are the short names that OpenSSL prints, by object identifier.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9":  "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.15": "businessCategory",
	"2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials",
	"2.5.4.44": "generationQualifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attribute

// distinguishedName writes a DER name as X509_NAME_print_ex does with XN_FLAG_RFC2253: last part first, bytes past
// ASCII as \XX. An unreadable name is "".
func distinguishedName(der []byte) string {
	var name []relativeNameSET
	if _, err := asn1.Unmarshal(der, &name); err != nil {
		return ""
	}
	var b strings.Builder
	for i := len(name) - 1; i >= 0; i-- {
		for j := len(name[i]) - 1; j >= 0; j-- {
			switch {
			case j < len(name[i])-1:
				b.WriteByte('+')
			case i < len(name)-1:
				b.WriteByte(',')
			}
			writeAttribute(&b, name[i][j])
		}
	}
	return b.String()
}

// legacyName writes a DER name as X509_NAME_oneline does, which nginx used before 1.11.6: "/C=US/O=Acme", with the
// bytes of a value as they are and others than ASCII as \xXX. An unreadable name is "".
func legacyName(der []byte) string {
	var name []relativeNameSET
	if _, err := asn1.Unmarshal(der, &name); err != nil {
		return ""
	}
	var b strings.Builder
	for _, set := range name {
		for i, a := range set {
			separator := byte('/')
			if i > 0 {
				separator = '+'
			}
			short, known := attributes[a.Type.String()]
			if !known {
				short = a.Type.String()
			}
			fmt.Fprintf(&b, "%c%s=", separator, short)
			for _, c := range a.Value.Bytes {
				if c < ' ' || c > '~' {
					fmt.Fprintf(&b, "\\x%02X", c)
					continue
				}
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a attribute) {
	short, known := attributes[a.Type.String()]
	if !known {
		short = a.Type.String()
	}
	b.WriteString(short)
	b.WriteByte('=')
	text, isText := attributeText(a.Value)
	if !isText || !known {
		b.WriteByte('#')
		b.WriteString(strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
		return
	}
	writeEscaped(b, text)
}

// attributeText returns a string value as UTF-8.
func attributeText(v asn1.RawValue) (string, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		return string(v.Bytes), true
	case asn1.TagT61String:
		runes := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			runes[i] = rune(c) // OpenSSL treats it as Latin 1
		}
		return string(runes), true
	case asn1.TagBMPString:
		var s string
		if _, err := asn1.Unmarshal(v.FullBytes, &s); err == nil {
			return s, true
		}
	}
	return "", false
}

func writeEscaped(b *strings.Builder, text string) {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case strings.IndexByte(",+\"\\<>;", c) >= 0,
			(c == ' ' || c == '#') && i == 0, c == ' ' && i == len(text)-1:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			b.WriteByte('\\')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		default:
			b.WriteByte(c)
		}
	}
}
