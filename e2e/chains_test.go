package e2e

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
)

// TestTheLengthOfAChain: zone_sync_ssl_verify_depth says how many authorities may stand between a node and the one that is trusted.
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
			cl := newCluster(t, 2)
			root := chain(cl.Nodes[1], c.between)
			cl.Nodes[0].write("root.pem", root)
			trust := strings.Replace(verified, "ca.pem", "root.pem", 1)
			cl.Nodes[0].configure(keyvalHTTP + strings.NewReplacer("SERVER", trust+c.depth, "STREAM", "").Replace(dialer))
			cl.Nodes[1].configure(keyvalHTTP + strings.Replace(acceptor, "ACCEPT", "", 1))
			cl.Nodes[1].start()
			cl.Nodes[0].start()
			if !c.refused {
				cl.connects()
				return
			}
			cl.Nodes[0].waitLog(refused)
			if s, err := cl.Nodes[0].status(); err != nil || s.Status.NodesOnline != 0 {
				t.Errorf("%d nodes online, %v", s.Status.NodesOnline, err)
			}
		})
	}
}

// chain gives a node a certificate that authorities in a row have signed, and returns the first of them.
func chain(n *node, between int) (root string) {
	n.t.Helper()
	issue := func(name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			n.t.Fatal(err)
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
			n.t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			n.t.Fatal(err)
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
		n.t.Fatal(err)
	}
	n.write("cert.pem", text+shown)
	n.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return root
}

// TestAnEncryptedKey: zone_sync_ssl_password_file has the password of the key with which a node shows who it is.
func TestAnEncryptedKey(t *testing.T) {
	cl := newCluster(t, 2)
	n := cl.Nodes[0]
	n.lockKey("key.pem", "correct horse")
	n.write("passwords", "wrong one\ncorrect horse\n")
	show := shown + "zone_sync_ssl_password_file {{.Dir}}/passwords;"
	text := keyvalHTTP + strings.NewReplacer("SERVER", verified+show, "STREAM", "").Replace(dialer)
	n.configure(text)
	cl.Nodes[1].configure(keyvalHTTP + strings.Replace(acceptor, "ACCEPT", asked, 1))
	cl.Nodes[1].start()
	n.start()
	cl.connects()
	n.wants(201, "*", "POST", setOne, `{"k":"v"}`)
	cl.Nodes[1].sees("/?text=k", "v")

	// Without the right password the configuration is refused, and the error names the file.
	n.excused = "PEM_read_bio_PrivateKey() failed"
	n.write("passwords", "wrong one\n")
	n.refuses("no password of the password file fits", n.Dir+"/key.pem")
	n.configure(strings.Replace(text, "zone_sync_ssl_password_file {{.Dir}}/passwords;", "", 1))
	n.refuses("there is no password file", n.Dir+"/key.pem")
}

// refuses wants -t to fail with all of some texts.
func (n *node) refuses(texts ...string) {
	n.t.Helper()
	out, err := exec.Command(binary, "-t", "-p", n.Dir+"/", "-c", "nginx.conf", "-e", "error.log").CombinedOutput()
	for _, want := range texts {
		if err == nil || !strings.Contains(string(out), want) {
			n.t.Errorf("-t: %v, want %q\n%s", err, want, out)
		}
	}
}

// lockKey encrypts a key of the node as openssl's old form does.
func (n *node) lockKey(file, password string) {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Dir, file))
	if err != nil {
		n.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		n.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		n.t.Fatal(err)
	}
	//lint:ignore SA1019 insecure, but what operators have
	locked, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES256)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(file, string(pem.EncodeToMemory(locked)))
}
