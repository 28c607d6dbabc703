package guide

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
)

// TestTheLengthOfAChain: zone_sync_ssl_verify_depth says how many authorities may stand between a node and the one that
// is trusted.
func TestTheLengthOfAChain(t *testing.T) {
	const refused = "SSL certificate verify error"
	for _, c := range []struct {
		name, depth string
		between     int
		refused     bool
	}{
		{"one authority between is nginx's default", "", 1, false},
		{"two are too many then", "", 2, true},
		{"two are allowed", "zone_sync_ssl_verify_depth 2;", 2, false},
		{"none is allowed", "zone_sync_ssl_verify_depth 0;", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := harness.NewCluster(t, 2)
			root := chain(cl.Nodes[1], c.between)
			cl.Nodes[0].Write("root.pem", root)
			trust := strings.Replace(harness.Verified, "ca.pem", "root.pem", 1)
			cl.Nodes[0].Configure(harness.KeyvalHTTP + strings.NewReplacer("SERVER", trust+c.depth, "STREAM", "").Replace(dialer))
			cl.Nodes[1].Configure(harness.KeyvalHTTP + strings.Replace(acceptor, "ACCEPT", "", 1))
			cl.Nodes[1].Start()
			cl.Nodes[0].Start()
			if !c.refused {
				connects(cl)
				return
			}
			cl.Nodes[0].WaitLog(refused)
			if s, err := cl.Nodes[0].Status(); err != nil || s.Status.NodesOnline != 0 {
				t.Errorf("%d nodes online, %v", s.Status.NodesOnline, err)
			}
		})
	}
}

// chain gives a node a certificate that authorities in a row have signed, and returns the first of them.
func chain(n *harness.Node, between int) (root string) {
	n.T.Helper()
	issue := func(name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			n.T.Fatal(err)
		}
		now := time.Now()
		c := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true}
		if name == n.Name {
			c.IPAddresses = []net.IP{net.ParseIP(n.IP)}
		} else {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		}
		if parent == nil {
			parent, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
		if err != nil {
			n.T.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			n.T.Fatal(err)
		}
		return c, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	above, key, root := issue("root", nil, nil)
	var shown string
	for i := range between {
		var text string
		above, key, text = issue("authority "+string(rune('a'+i)), above, key)
		shown = text + shown
	}
	_, own, text := issue(n.Name, above, key)
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		n.T.Fatal(err)
	}
	n.Write("cert.pem", text+shown)
	n.Write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return root
}

// TestAnEncryptedKey: zone_sync_ssl_password_file has the password of the key with which a node shows who it is.
func TestAnEncryptedKey(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	n := cl.Nodes[0]
	lockKey(n, "key.pem", "correct horse")
	n.Write("passwords", "wrong one\ncorrect horse\n")
	show := harness.Shown + "zone_sync_ssl_password_file {{.Dir}}/passwords;"
	text := harness.KeyvalHTTP + strings.NewReplacer("SERVER", harness.Verified+show, "STREAM", "").Replace(dialer)
	n.Configure(text)
	cl.Nodes[1].Configure(harness.KeyvalHTTP + strings.Replace(acceptor, "ACCEPT", harness.Asked, 1))
	cl.Nodes[1].Start()
	n.Start()
	connects(cl)
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	cl.Nodes[1].Sees("/?text=k", "v")

	// Without the right password the configuration is refused, and the error names the file.
	n.Excused = "PEM_read_bio_PrivateKey() failed"
	n.Write("passwords", "wrong one\n")
	refuses(n, "no matching password in the password file", n.Dir+"/key.pem")
	n.Configure(strings.Replace(text, "zone_sync_ssl_password_file {{.Dir}}/passwords;", "", 1))
	refuses(n, "key is encrypted and no password file is set", n.Dir+"/key.pem")
}

// refuses wants -t to fail with all of some texts.
func refuses(n *harness.Node, texts ...string) {
	n.T.Helper()
	out, err := exec.Command(harness.Binary, "-t", "-p", n.Dir+"/", "-c", "nginx.conf", "-e", "error.log").CombinedOutput()
	for _, want := range texts {
		if err == nil || !strings.Contains(string(out), want) {
			n.T.Errorf("-t: %v, want %q\n%s", err, want, out)
		}
	}
}

// lockKey encrypts a key of the node as openssl's old form does.
func lockKey(n *harness.Node, file, password string) {
	n.T.Helper()
	text, err := os.ReadFile(filepath.Join(n.Dir, file))
	if err != nil {
		n.T.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		n.T.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		n.T.Fatal(err)
	}
	//lint:ignore SA1019 insecure, but what operators have
	locked, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES256)
	if err != nil {
		n.T.Fatal(err)
	}
	n.Write(file, string(pem.EncodeToMemory(locked)))
}
