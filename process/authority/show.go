package authority

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// warnDays is when a certificate should be renewed; the log of a node that uses it warns from then on too.
const warnDays = 14

// report is the information about one certificate.
type report struct {
	Name     string   `json:"name"` // "ca" or the node's
	Subject  string   `json:"subject,omitempty"`
	Issuer   string   `json:"issuer,omitempty"`
	Names    []string `json:"names,omitempty"`
	Serial   string   `json:"serial,omitempty"`
	From     string   `json:"not_before,omitempty"`
	Until    string   `json:"not_after,omitempty"`
	DaysLeft int      `json:"days_left"`
	Signs    bool     `json:"signs,omitempty"` // the CA that new certificates are of
	// Problems are the reasons why it cannot be used. A certificate that expires soon has none.
	Problems []string `json:"problems"`
}

// reports are of all certificates, the CAs first.
func (s *store) reports() ([]report, error) {
	trusted, err := s.trusted()
	if err != nil {
		return nil, err
	}
	key, keyErr := readKey(s.path(authorityName, keyOf))
	var list []report
	signing := false
	for _, c := range trusted {
		r := s.describe(authorityName, c)
		r.Signs = keyErr == nil && fits(c, key)
		signing = signing || r.Signs
		r.Problems = append(r.Problems, s.timeProblems(c)...)
		list = append(list, r)
	}
	switch {
	case errors.Is(keyErr, os.ErrNotExist): // on a node, where it must not be
	case keyErr != nil:
		list[0].Problems = append(list[0].Problems, keyErr.Error())
	case !signing:
		list[0].Problems = append(list[0].Problems, s.path(authorityName, keyOf)+" is not the key of a CA in ca.crt")
	default:
		list[0].Problems = append(list[0].Problems, modeProblem(s.path(authorityName, keyOf))...)
	}
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.err != nil {
			list = append(list, report{Name: m.name, Problems: []string{m.err.Error()}})
			continue
		}
		r := s.describe(m.name, m.cert)
		r.Problems = append(r.Problems, s.problems(m, trusted)...)
		list = append(list, r)
	}
	return list, nil
}

func (s *store) describe(name string, c *x509.Certificate) report {
	r := report{
		Name: name, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: fmt.Sprintf("%x", c.SerialNumber),
		From: c.NotBefore.UTC().Format(time.RFC3339), Until: c.NotAfter.UTC().Format(time.RFC3339),
		DaysLeft: daysLeft(c, s.now), Names: slices.Clone(c.DNSNames), Problems: []string{},
	}
	for _, ip := range c.IPAddresses {
		r.Names = append(r.Names, ip.String())
	}
	return r
}

func (s *store) timeProblems(c *x509.Certificate) []string {
	switch {
	case s.now.After(c.NotAfter):
		return []string{"expired on " + date(c.NotAfter)}
	case s.now.Before(c.NotBefore):
		return []string{"is not valid before " + c.NotBefore.UTC().Format(time.RFC3339)}
	}
	return nil
}

// usages are the required ones of a node: it accepts and makes connections.
var usages = []struct {
	usage x509.ExtKeyUsage
	name  string
}{{x509.ExtKeyUsageServerAuth, "server"}, {x509.ExtKeyUsageClientAuth, "client"}}

// problems are the reasons why a node cannot be a member with this certificate.
func (s *store) problems(m member, trusted []*x509.Certificate) []string {
	problems := s.timeProblems(m.cert)
	roots := x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	during := m.cert.NotAfter.Add(-time.Second) // its time is checked above, and so is that of the CA
	_, err := m.cert.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: during, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	signed := func(by *x509.Certificate) bool { return m.cert.CheckSignatureFrom(by) == nil }
	switch {
	case err != nil && !slices.ContainsFunc(trusted, signed):
		problems = append(problems, fmt.Sprintf("does not belong to the CA: it was issued by \"%s\"", m.cert.Issuer))
	case err != nil:
		problems = append(problems, err.Error())
	}
	for _, u := range usages {
		if !slices.Contains(m.cert.ExtKeyUsage, u.usage) && !slices.Contains(m.cert.ExtKeyUsage, x509.ExtKeyUsageAny) &&
			len(m.cert.ExtKeyUsage) > 0 {
			problems = append(problems, "lacks the usage \""+u.name+"\"")
		}
	}
	path := s.path(m.name, keyOf)
	switch key, err := readKey(path); {
	case err != nil:
		problems = append(problems, err.Error())
	case !fits(m.cert, key):
		problems = append(problems, path+" is not its key")
	default:
		problems = append(problems, modeProblem(path)...)
	}
	return problems
}

// modeProblem reports a key that other users can read.
func modeProblem(path string) []string {
	info, err := os.Stat(path)
	if err != nil {
		return []string{err.Error()}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return []string{fmt.Sprintf("%s has mode %04o, others can read the key: chmod 600", path, mode)}
	}
	return nil
}

func writeJSON(w io.Writer, list []report) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(struct {
		Certificates []report `json:"certificates"`
	}{list})
}

func writeTable(w io.Writer, list []report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CERTIFICATE\tSUBJECT\tNAMES\tUNTIL\tDAYS LEFT\tSTATE")
	for _, r := range list {
		until, days := "", ""
		if r.Until != "" {
			until, days = r.Until[:len(time.DateOnly)], fmt.Sprint(r.DaysLeft)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			r.Name, r.Subject, strings.Join(r.Names, " "), until, days, r.state())
	}
	return table.Flush()
}

func (r *report) state() string {
	switch {
	case len(r.Problems) > 0:
		return strings.Join(r.Problems, "; ")
	case r.DaysLeft < warnDays:
		return "renew it now"
	case r.Signs:
		return "good, signs"
	}
	return "good"
}
