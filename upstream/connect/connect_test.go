package connect

import (
	"slices"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/plan"
	"starling/side/sidetest"
	"starling/ssl"
)

type subject = *sidetest.Subject

var node = &conf.Node{File: "x.conf", Line: 7}

// bound is a configuration with the words of one directive.
func bound(t *testing.T, words ...string) (*plan.Plan, *conf.Args) {
	t.Helper()
	p := plan.New()
	if err := sidetest.Declare(p); err != nil {
		t.Fatal(err)
	}
	return p, &conf.Args{Words: words, Node: node, Env: p}
}

func TestBind(t *testing.T) {
	for _, c := range []struct {
		word string
		v    string // of $v_from
		want string // "" leaves it to the system
		err  string
	}{
		{"off", "", "", ""},
		{"192.0.2.1", "", "192.0.2.1:0", ""},
		{"192.0.2.1:99", "", "192.0.2.1:99", ""},
		{"[2001:db8::1]", "", "[2001:db8::1]:0", ""},
		{"nowhere", "", "", `invalid address "nowhere"`},
		{"$v_from", "192.0.2.2", "192.0.2.2:0", ""},
		{"$v_from", "", "", ""},
		{"$v_from", "nowhere", "", `invalid local address "nowhere"`},
	} {
		p, a := bound(t, c.word)
		b, err := readBind(&sidetest.Side, a)
		got := ""
		if err == nil {
			if problems := sidetest.Side.Unknown(p); problems != nil {
				t.Fatal(problems)
			}
			address, failed := b.Address(sidetest.New(p, map[string]string{"from": c.v}))
			if err = failed; address.IsValid() {
				got = address.String()
			}
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("%s with %q: %q %q, want %q %q", c.word, c.v, got, text, c.want, c.err)
		}
	}
}

// named is a connector that verifies the name in $v_name, and a subject with that name.
func named(t *testing.T, s *Settings[subject]) (*Connector[subject], func(name string) subject) {
	t.Helper()
	p, a := bound(t)
	name, err := sidetest.Side.Compile(a, "$v_name")
	if err != nil || sidetest.Side.Unknown(p) != nil {
		t.Fatal(err)
	}
	s.TLSName = &name
	k, err := s.Build(p, "proxy", node, true)
	if err != nil {
		t.Fatal(err)
	}
	return k, func(name string) subject { return sidetest.New(p, map[string]string{"name": name}) }
}

// TestOneConfigForOneName: by its pointer a kept connection is known to be verified as the next request asks.
func TestOneConfigForOneName(t *testing.T) {
	s := NewSettings[subject]()
	s.TLS.SendName = true
	k, asking := named(t, &s)
	config := func(name string) any {
		c, file, err := k.Config(asking(name), "unused")
		if err != nil || file != (ssl.CertificateFile{}) || c.ServerName != name {
			t.Errorf("%s: %v %v %s", name, err, file, c.ServerName)
		}
		return c
	}
	if config("a.example") != config("a.example") {
		t.Error("two configs for one name")
	}
	if config("a.example") == config("b.example") {
		t.Error("one config for two names")
	}
	s.TLSName = nil
	if c, _, err := k.Config(asking(""), "host.example"); err != nil || c.ServerName != "host.example" {
		t.Errorf("without a name the host counts: %v %s", err, c.ServerName)
	}
}

// TestNamesCostOneAllocation: the string itself, whatever the variables do.
func TestNamesCostOneAllocation(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := NewSettings[subject]()
	k, asking := named(t, &s)
	request := asking("a.example")
	if n := testing.AllocsPerRun(100, func() { k.Config(request, "") }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// TestDialer: settings of the block, the address of one subject. One that is no address is logged, and the system
// chooses.
func TestDialer(t *testing.T) {
	p, a := bound(t, "$v_from")
	s := NewSettings[subject]()
	s.Timeout, s.Probe = 5, true
	var err error
	if s.Bind, err = readBind(&sidetest.Side, a); err != nil || sidetest.Side.Unknown(p) != nil {
		t.Fatal(err)
	}
	k, err := s.Build(p, "proxy", node, false)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := sidetest.New(p, map[string]string{"from": "192.0.2.2"}), sidetest.New(p, map[string]string{"from": "nowhere"})
	d, err := k.Dialer(good, nil, ssl.CertificateFile{})
	if err != nil || d.Timeout != 5 || !d.Probe || d.TLS != nil || d.Bind.String() != "192.0.2.2:0" || d.Clock != p.Clock {
		t.Errorf("%+v %v", d, err)
	}
	d, err = k.Dialer(bad, nil, ssl.CertificateFile{})
	if err != nil || d.Bind.IsValid() || !slices.Equal(bad.Lines, []string{`invalid local address "nowhere"`}) {
		t.Errorf("%v %v %q", d.Bind, err, bad.Lines)
	}
}

func TestVerifyingNeedsAuthorities(t *testing.T) {
	p, _ := bound(t)
	s := NewSettings[subject]()
	s.TLS.Verify = true
	if _, err := s.Build(p, "proxy", node, true); err == nil || err.Error() != "no proxy_ssl_trusted_certificate for proxy_ssl_verify" {
		t.Error(err)
	}
	if _, err := s.Build(p, "proxy", node, false); err != nil {
		t.Errorf("nobody asks for TLS: %v", err)
	}
}
