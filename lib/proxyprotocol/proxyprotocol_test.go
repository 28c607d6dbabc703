package proxyprotocol

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

const binaryIPv4 = signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2\x16\x2e"

const binaryIPv6 = signature + "\x21\x21\x00\x24" +
	"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
	"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x04\xd2\x16\x2e"

func TestHeadersAreReadExactly(t *testing.T) {
	for _, c := range []struct{ name, text, source, destination string }{
		{"version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n", "192.0.2.1:1234", "192.0.2.2:5678"},
		{"the shortest addresses", "PROXY TCP6 :: :: 0 0\r\n", "[::]:0", "[::]:0"},
		{"IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 5678\r\n", "[2001:db8::1]:1234", "[2001:db8::2]:5678"},
		{"the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"unknown", "PROXY UNKNOWN\r\n", "", ""},
		{"unknown with addresses", "PROXY UNKNOWN 1 2 3 4\r\n", "", ""},
		{"version 2", binaryIPv4, "192.0.2.1:1234", "192.0.2.2:5678"},
		{"version 2, IPv6", binaryIPv6, "[2001:db8::1]:1234", "[2001:db8::2]:5678"},
		{"local", signature + "\x20\x00\x00\x00", "", ""},
		{"local with more", signature + "\x20\x11\x00\x02ab", "", ""},
		{"a unix socket", signature + "\x21\x31\x00\x02ab", "", ""},
		{"a datagram", signature + "\x21\x12" + binaryIPv4[14:], "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
				r := wrap(strings.NewReader(c.text + "GET /"))
				h, err := Read(r)
				if err != nil || (h != nil) != (c.source != "") {
					t.Fatalf("got %v, %v", h, err)
				}
				if h != nil && (h.Source != netip.MustParseAddrPort(c.source) || h.Destination != netip.MustParseAddrPort(c.destination)) {
					t.Errorf("got %v -> %v", h.Source, h.Destination)
				}
				if rest, _ := io.ReadAll(r); string(rest) != "GET /" {
					t.Errorf("left behind: %q", rest)
				}
			}
		})
	}
}

func TestBrokenHeaders(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.0\r\n\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678", "PROXY TCP4 192.0.2.1 192.0.2.2 1234 \r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1234 70000\r\n", "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 name 192.0.2.2 1 2\r\n", "PROXY UNKNOWN" + strings.Repeat(" ", 200), "PROXY UNKNOW",
		signature + "\x11\x11\x00\x00", signature + "\x21\x11\x00\x04abcd", signature + "\x21\x11\xff\xff", signature + "\x21\x11\x00\x10abc", signature,
	} {
		var broken *Broken
		if h, err := Read(strings.NewReader(text)); !errors.As(err, &broken) {
			t.Errorf("Read(%q) = %v, %v", text, h, err)
		}
	}
	if _, err := Read(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestValuesByName(t *testing.T) {
	tlvs := "\x01\x00\x05ALPN1" + "\x02\x00\x0Bexample.org" + "\x05\x00\x04UN1Q" +
		"\x20\x00\x2c" + "\x01\x00\x00\x00\x07" + "\x21\x00\x07TLSv1.2" + "\x22\x00\x02cn" + "\x23\x00\x06CIPHER" + "\x24\x00\x03SHA" + "\x25\x00\x06RSA512" +
		"\x30\x00\x05NETNS" + "\xae\x00\x03raw" + "\xaf\x00\x05cut"
	h := &Header{tlvs: []byte(tlvs)}
	for name, want := range map[string]string{
		"alpn": "ALPN1", "authority": "example.org", "unique_id": "UN1Q", "netns": "NETNS", "0xae": "raw", "0x1": "ALPN1", "0xAE": "raw",
		"ssl_version": "TLSv1.2", "ssl_cn": "cn", "ssl_cipher": "CIPHER", "ssl_sig_alg": "SHA", "ssl_key_alg": "RSA512", "ssl_verify": "7", "ssl_0x22": "cn",
		"0xaf": "", "0xad": "", "unknown": "", "ssl_unknown": "", "0x100": "", "0x": "", "": "",
	} {
		got, found := h.AppendTLV(nil, name)
		if string(got) != want || found != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, found, want)
		}
	}
	if _, found := (*Header)(nil).AppendTLV(nil, "alpn"); found {
		t.Error("a header that was not sent has a value")
	}
}

func TestAppendIsReadBack(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"192.0.2.1:1", "192.0.2.2:2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
		{"[::ffff:192.0.2.1]:1", "192.0.2.2:2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"},
		{"[2001:db8::1]:1", "192.0.2.2:2", "PROXY UNKNOWN\r\n"},
	} {
		got := Append(nil, netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b))
		if string(got) != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if h, err := Read(bytes.NewReader(got)); err != nil || h != nil && h.Source.Port() != 1 {
			t.Errorf("read back: %v, %v", h, err)
		}
	}
	if got := Append(nil, netip.AddrPort{}, netip.AddrPort{}); string(got) != "PROXY UNKNOWN\r\n" {
		t.Errorf("of a unix socket: %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n"))
	f.Add([]byte(binaryIPv4))
	f.Add([]byte(binaryIPv6 + "\x01\x00\x01a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := Read(bytes.NewReader(text))
		if err == nil && h != nil {
			h.AppendTLV(nil, "ssl_cn")
			if !h.Source.IsValid() || !h.Destination.IsValid() {
				t.Errorf("%q: %v", text, h)
			}
		}
	})
}

// TestBrokenHeadersAreNotAwaited: a client that has sent what starts no header, and then waits, is rejected at once.
func TestBrokenHeadersAreNotAwaited(t *testing.T) {
	asked := errors.New("more was asked for")
	for text, whole := range map[string]bool{
		"PROXY INVALID": true, "PROXY TCP5": true, "PROXY TCP4x": true, "GET": true, "\r\n\r\nx": true, "PROXZ": true,
		"": false, "P": false, "PROXY ": false, "PROXY TCP": false, "PROXY UNKN": false, "\r\n\r\n": false,
	} {
		var broken *Broken
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			_, err := Read(io.MultiReader(wrap(strings.NewReader(text)), iotest.ErrReader(asked)))
			if errors.As(err, &broken) != whole || errors.Is(err, asked) == whole {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}
