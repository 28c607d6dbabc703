package ssl

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The suites were printed by `openssl ciphers -tls1_2` 3.0.19, less those that Go does not have.
func TestCipherListsAsOpenSSL(t *testing.T) {
	const (
		gcm   = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384"
		ecdhe = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 " +
			"ECDHE-ECDSA-AES256-SHA ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-SHA " +
			"ECDHE-RSA-AES128-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-SHA ECDHE-RSA-CHACHA20-POLY1305"
		rsa = "AES128-GCM-SHA256 AES128-SHA AES128-SHA256 AES256-GCM-SHA384 AES256-SHA"
	)
	for list, want := range map[string]string{
		"HIGH:!aNULL:!MD5": rsa + " " + ecdhe,
		"DEFAULT":          rsa + " " + ecdhe,
		"ECDHE+AESGCM":     gcm,
		"ALL:!3DES:!RSA":   ecdhe,
		"ECDHE:!SHA1:!3DES": gcm + " ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES128-SHA256 " +
			"ECDHE-RSA-CHACHA20-POLY1305",
		"kRSA:!3DES":         rsa,
		"HIGH:!kRSA:!SHA384": ecdhe,
		"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA": "ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES128-GCM-SHA256",
		"aECDSA:-AES256": "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305",
		"TLSv1.2:!kRSA": gcm + " ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES128-SHA256 " +
			"ECDHE-RSA-CHACHA20-POLY1305",
		"AESGCM:!aECDSA:+AES256": "AES128-GCM-SHA256 AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384",
		"CHACHA20":               "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305",
		"SSLv3:!3DES":            "AES128-SHA AES256-SHA",
		"TLSv1:!3DES":            "ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES128-SHA ECDHE-RSA-AES256-SHA",
		"RSA+AESGCM":             "AES128-GCM-SHA256 AES256-GCM-SHA384",
		"EECDH+AESGCM:AES256+EECDH": "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES256-SHA " +
			"ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-SHA",
		"HIGH:!AES": "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305",
	} {
		ids, warnings, err := parseCiphers(list)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", list, err, warnings)
		}
		var got []string
		for _, id := range ids {
			got = append(got, CipherName(id))
		}
		expected := strings.Fields(want)
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("%s:\n got %v\nwant %v", list, got, expected)
		}
	}
}

func TestCipherWarningsAndErrors(t *testing.T) {
	for list, want := range map[string]string{
		"NOPE":                         `SSL_CTX_set_cipher_list("NOPE") failed (no cipher match)`,
		"":                             `SSL_CTX_set_cipher_list("") failed (no cipher match)`,
		"aNULL":                        `SSL_CTX_set_cipher_list("aNULL") failed (no cipher match)`,
		"HIGH:DHE-RSA-AES128-SHA":      `cipher "DHE-RSA-AES128-SHA" is not available, ignored`,
		"ECDHE+NOPE:HIGH":              `cipher "NOPE" is not available, ignored`,
		"HIGH:@SECLEVEL=0":             `"@SECLEVEL=0" in a cipher list has no effect`,
		"HIGH:!NOPE:@STRENGTH":         "",
		"TLS_AES_128_GCM_SHA256:AES":   "",
		"HIGH:!AES:!CHACHA20":          `SSL_CTX_set_cipher_list("HIGH:!AES:!CHACHA20") failed (no cipher match)`,
		"kEDH+AESGCM:CAMELLIA:HIGH:+A": "",
	} {
		_, warnings, err := parseCiphers(list)
		got := strings.Join(warnings, ", ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s", list, got)
		}
	}
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        string // protocols, or the error or warning
	}{
		{"MinProtocol", "TLSv1.3", "TLSv1.3"},
		{"minprotocol", "TLSv1", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"},
		{"MinProtocol", "None", "TLSv1.2 TLSv1.3"},
		{"MaxProtocol", "TLSv1.2", "TLSv1.2"},
		{"MaxProtocol", "SSLv3", `SSL_CONF_cmd("MaxProtocol", "SSLv3") failed (bad value)`},
		{"Protocol", "ALL,-TLSv1.3", "TLSv1 TLSv1.1 TLSv1.2"},
		{"Protocol", "TLSv9", `SSL_CONF_cmd("Protocol", "TLSv9") failed (bad value)`},
		{"Options", "-SessionTicket", "TLSv1.2 TLSv1.3"},
		{"Options", "ServerPreference", `option "ServerPreference" of Options has no effect: it cannot be changed`},
		{"Options", "Nonsense", `SSL_CONF_cmd("Options", "Nonsense") failed (bad value)`},
		{"Ciphersuites", "TLS_AES_128_GCM_SHA256", "Ciphersuites has no effect: all TLS 1.3 cipher suites are always enabled"},
		{"Ciphersuites", "TLS_NOPE", `SSL_CONF_cmd("Ciphersuites", "TLS_NOPE") failed (no cipher match)`},
		{"Groups", "X25519:P-256", "TLSv1.2 TLSv1.3"},
		{"Curves", "", `SSL_CONF_cmd("Curves", "") failed (bad value)`},
		{"SignatureAlgorithms", "RSA+SHA256", `SSL_CONF_cmd "SignatureAlgorithms" is not supported by starling: ` +
			`remove it: the library has only algorithms that are considered secure`},
		{"VerifyMode", "Peer", `SSL_CONF_cmd "VerifyMode" is not supported by starling: use ssl_verify_client, or proxy_ssl_verify`},
		{"RecordPadding", "512", `SSL_CONF_cmd "RecordPadding" is not supported by starling: remove it: records cannot be padded`},
		{"DHParameters", "/dh.pem", "DHParameters has no effect: " + noDH},
		{"ECDHParameters", "X25519", "TLSv1.2 TLSv1.3"},
		{"NumTickets", "2", "NumTickets has no effect: the library sends one ticket"},
		{"NumTickets", "0", "TLSv1.2 TLSv1.3"},
		{"NumTickets", "many", `SSL_CONF_cmd("NumTickets", "many") failed (bad value)`},
		{"PrivateKey", "/a.key", `SSL_CONF_cmd "PrivateKey" needs "Certificate"`},
		{"Nonsense", "x", `SSL_CONF_cmd("Nonsense", "x") failed (unknown cmd name)`},
	} {
		settings := Common{Protocols: DefaultProtocols, Commands: [][2]string{{c.name, c.value}}}
		said, err := settings.applyCommands()
		var warnings []string
		noTickets := false
		if err == nil {
			warnings = said.warnings
			noTickets = said.tickets != nil && !*said.tickets
		}
		var names []string
		for _, v := range versions {
			if settings.Protocols&v.protocol != 0 {
				names = append(names, v.name)
			}
		}
		got := strings.Join(names, " ")
		if len(warnings) > 0 {
			got = strings.Join(warnings, ", ")
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want || noTickets != (c.value == "-SessionTicket" || c.value == "0") {
			t.Errorf("%s %s: %s (tickets off %v)", c.name, c.value, got, noTickets)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	a := newAuthority(t, "root")
	cert, key := a.leaf("a", nil)
	_, otherKey := a.leaf("b", nil)
	f := files{"a.crt": certPEM(cert), "a.key": keyPEM(t, key), "b.key": keyPEM(t, otherKey), "text": []byte("nothing here"), "ticket": []byte("short"),
		"passwords": []byte("wrong\n\nworse\n"), "locked.key": golden(t, "pbes2-default.key"), "old.key": golden(t, "pbes1.key")}
	read := func(path string) ([]byte, error) {
		if path == "secret" {
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return f.read(path)
	}
	pair := func(cert, key string) func(*ServerSettings) {
		return func(s *ServerSettings) { s.Certificates = []CertificateFile{{cert, key}} }
	}
	for want, change := range map[string]func(*ServerSettings){
		`no "ssl_certificate" is defined`: func(*ServerSettings) {},
		`cannot load certificate "none.crt": BIO_new_file() failed (No such file or directory)`:                                     pair("none.crt", "a.key"),
		`cannot load certificate "secret": BIO_new_file() failed (Permission denied)`:                                               pair("secret", "a.key"),
		`cannot load certificate "text": PEM_read_bio_X509_AUX() failed (no start line: Expecting: TRUSTED CERTIFICATE)`:            pair("text", "a.key"),
		`cannot load certificate key "none.key": BIO_new_file() failed (No such file or directory)`:                                 pair("a.crt", "none.key"),
		`cannot load certificate key "text": PEM_read_bio_PrivateKey() failed (no start line: Expecting: ANY PRIVATE KEY)`:          pair("a.crt", "text"),
		`SSL_CTX_use_PrivateKey("b.key") failed (key values mismatch with certificate "a.crt")`:                                     pair("a.crt", "b.key"),
		`cannot load certificate key "locked.key": PEM_read_bio_PrivateKey() failed (key is encrypted and no password file is set)`: pair("a.crt", "locked.key"),
		`cannot load certificate key "locked.key": PEM_read_bio_PrivateKey() failed (bad decrypt: no matching password in the password file)`: func(s *ServerSettings) {
			pair("a.crt", "locked.key")(s)
			s.PasswordFile = "passwords"
		},
		`cannot load certificate key "old.key": PEM_read_bio_PrivateKey() failed (unsupported key encryption: 1.2.840.113549.1.12.1.3 ` +
			"(only PBES2 is supported: convert it with `openssl pkcs8 -topk8`))": func(s *ServerSettings) {
			pair("a.crt", "old.key")(s)
			s.PasswordFile = "passwords"
		},
		`open() "nowhere" failed (2: No such file or directory)`: func(s *ServerSettings) { s.PasswordFile = "nowhere" },
		`cannot load CRL "text": PEM_read_bio_X509_CRL() failed (no start line: Expecting: X509 CRL)`: func(s *ServerSettings) {
			s.CRL = "text"
		},
		`no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client`: func(s *ServerSettings) {
			pair("a.crt", "a.key")(s)
			s.VerifyClient = VerifyOn
		},
		`"ticket" must be 48 or 80 bytes`: func(s *ServerSettings) {
			pair("a.crt", "a.key")(s)
			s.TicketKeys = []string{"ticket"}
		},
		`SSL_CTX_set1_curves_list("P-256:nope") failed (group "nope" is not known)`:      func(s *ServerSettings) { s.Curves = "P-256:nope" },
		`no protocol enabled: SSLv2 and SSLv3 are not supported, use TLSv1.2 or TLSv1.3`: func(s *ServerSettings) { s.Protocols = 0 },
	} {
		s := NewServerSettings()
		change(&s)
		if _, _, err := s.Build(read); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := ParseProtocols([]string{"TLSv1.2", "TLSv1.4"}); err == nil || err.Error() != `invalid value "TLSv1.4"` {
		t.Error(err)
	}
	client := NewClientSettings()
	client.Verify = true
	if _, _, err := client.Build(read); err == nil {
		t.Error("verifying without a trusted certificate was allowed")
	}
}

// The certificate of a command takes the place of the one with the same kind of key, and the option SessionTicket wins.
func TestCommandsReplaceDirectives(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"ecdsa", "rsa"} {
		cert, key := w.root.leafOf(name+".example", name, nil)
		w.files[name+".crt"], w.files[name+".key"] = certPEM(cert), keyPEM(t, key)
		w.files[name+".pem"] = append(certPEM(cert), keyPEM(t, key)...)
	}
	for _, c := range []struct {
		commands [][2]string
		want     string
		tickets  bool
	}{
		{nil, "server.example", false},
		{[][2]string{{"Certificate", "ecdsa.crt"}, {"PrivateKey", "ecdsa.key"}}, "ecdsa.example", false},
		{[][2]string{{"Certificate", "ecdsa.pem"}}, "ecdsa.example", false},
		{[][2]string{{"Certificate", "rsa.crt"}, {"PrivateKey", "rsa.key"}}, "server.example rsa.example", false},
		{[][2]string{{"Options", "SessionTicket"}}, "server.example", true},
	} {
		var names []string
		built := w.server(t, func(s *ServerSettings) { s.NoTickets, s.Commands = true, c.commands })
		for _, u := range built.Used() {
			names = append(names, u.Certificate.Subject.CommonName)
			if file, _, _ := strings.Cut(u.File, "."); !strings.HasPrefix(names[len(names)-1], file) {
				t.Errorf("%s is said to be from %s", names[len(names)-1], u.File)
			}
		}
		if got := strings.Join(names, " "); got != c.want || built.Config.SessionTicketsDisabled == c.tickets {
			t.Errorf("%v: %s, tickets off: %v", c.commands, got, built.Config.SessionTicketsDisabled)
		}
	}
}

// TestTheLastCertificateOfAKindCounts: OpenSSL has one place for each kind of key.
func TestTheLastCertificateOfAKindCounts(t *testing.T) {
	w := newWorld(t)
	var list []CertificateFile
	for _, c := range []struct{ name, kind string }{{"old", "rsa"}, {"ec", "ecdsa"}, {"new", "rsa"}} {
		cert, key := w.root.leafOf(c.name+".example", c.kind, nil)
		w.files[c.name+".crt"], w.files[c.name+".key"] = certPEM(cert), keyPEM(t, key)
		list = append(list, CertificateFile{c.name + ".crt", c.name + ".key"})
	}
	var names []string
	for _, u := range w.server(t, func(s *ServerSettings) { s.Certificates = list }).Used() {
		names = append(names, u.Certificate.Subject.CommonName+" "+u.File)
	}
	if got := strings.Join(names, ", "); got != "new.example new.crt, ec.example ec.crt" {
		t.Error(got)
	}
}

func TestProtocolGapIsWarnedOf(t *testing.T) {
	s := NewClientSettings()
	s.Protocols = TLS11 | TLS13
	_, warnings, err := s.Build(files{}.read)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "TLSv1.2 is enabled too") {
		t.Error(warnings, err)
	}
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The keys of testdata were written by openssl 3.0.19 from one key, with the password "secret".
func TestEncryptedKeys(t *testing.T) {
	plain, _, err := parseKey(golden(t, "plain.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := readPasswords("p", files{"p": []byte("wrong\n\nsecret\r\nother")}.read)
	if err != nil || len(passwords) != 3 {
		t.Fatal(passwords, err)
	}
	names, err := filepath.Glob("testdata/*.key")
	if err != nil || len(names) < 8 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		key, _, err := parseKey(golden(t, filepath.Base(name)), passwords)
		switch {
		case strings.HasSuffix(name, "pbes1.key"):
			if !errors.Is(err, errUnsupportedEncryption) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !strings.HasSuffix(name, "with-parameters.key") && !sameKey(key, plain):
			t.Errorf("%s: another key", name)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.key")
	for _, name := range names {
		f.Add(golden(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _ = parseKey(data, [][]byte{[]byte("secret")})
	})
}

func sameKey(a, b crypto.Signer) bool {
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b.Public())
}
