package authority

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/lib/certs"
)

const (
	defaultDir     = "certs"
	defaultCluster = "starling-cluster"
	defaultPort    = 9000
	// A CA has a long lifetime, because changing it affects every node; a node's certificate is renewed each year.
	authorityDays = 3650
	nodeDays      = 365
)

// Command makes and renews the certificates of a cluster.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "certs",
		Short: "make and renew the certificates of a cluster",
		Long: `Make and renew the certificates of a cluster. They are in a folder of the machine where you run this:

  starling certs init
  starling certs issue node1.example.com,10.0.0.1 node2.example.com,10.0.0.2 node3.example.com,10.0.0.3
  starling certs show

"issue" prints the directives for each node. Copy ca.crt and the node's two files to the node, never ca.key.
Renew with "starling certs rotate", copy, and reload one node after the other.`,
	}
	dir := c.PersistentFlags().String("dir", defaultDir, "`folder` of the CA and the certificates")
	open := func() *store { return &store{dir: *dir, now: time.Now()} }
	c.AddCommand(initCommand(open), issueCommand(open), showCommand(open), rotateCommand(open))
	return c
}

func initCommand(open func() *store) *cobra.Command {
	var v validity
	var cluster string
	var force bool
	c := &cobra.Command{
		Use:   "init",
		Short: "make the CA of a cluster",
		RunE: func(c *cobra.Command, _ []string) error {
			s := open()
			if err := s.init(cluster, v, force); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "The CA of the cluster \"%s\" is in %s. Keep %s secret: anyone who has it "+
				"can join the cluster.\nNext: starling certs issue NAME,ADDRESS...\n",
				cluster, s.dir, s.path(authorityName, keyOf))
			return nil
		},
	}
	c.Flags().StringVar(&cluster, "cluster", defaultCluster,
		"`name` of the cluster: all its certificates have it, and nodes verify it")
	validityFlags(c, &v, authorityDays)
	c.Flags().BoolVar(&force, "force", false, "replace an existing CA; its certificates become useless")
	return c
}

func validityFlags(c *cobra.Command, v *validity, days int) {
	c.Flags().IntVar(&v.days, "days", days, "`number` of days until it expires")
	types := strings.Join(certs.KeyTypes, ", ")
	c.Flags().StringVar(&v.keyType, "key-type", certs.KeyTypes[0], "`type` of the key: "+types)
}

func placementFlags(c *cobra.Command, p *placement) {
	c.Flags().StringVar(&p.at, "at", "", "`folder` of the certificates on the nodes, for the directives (default: "+
		"the path of --dir)")
	c.Flags().IntVar(&p.port, "port", defaultPort, "`port` of zone_sync, for the directives")
}

func issueCommand(open func() *store) *cobra.Command {
	var v validity
	var p placement
	var force bool
	var out string
	c := &cobra.Command{
		Use:   "issue NAME[,NAME|,ADDRESS]...",
		Short: "make certificates of nodes and print their directives",
		Long: `Make the certificates of one or more nodes and print the directives for each. Write a node as its name, followed by
further names and addresses, separated by commas. The other nodes connect to its first address, or to its first name if
it has no address.

With --out, the command only reads the folder of the CA. It writes the certificate of one node to another folder, as
ca.crt, tls.crt and tls.key, and prints no directives. This is for an init container: it has the key of the CA and gives
the container that serves only the certificate of its node.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("NAME is missing: name the nodes, as in node1.example.com,10.0.0.1")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			s := open()
			if out != "" {
				return s.issueInto(c, out, args, v, force)
			}
			p, err := p.in(s)
			if err != nil {
				return err
			}
			own, names, err := s.issue(args, v, force)
			if err != nil {
				return err
			}
			own.sayCut(c.ErrOrStderr())
			return s.printDirectives(c.OutOrStdout(), p, own.cluster(), names)
		},
	}
	validityFlags(c, &v, nodeDays)
	placementFlags(c, &p)
	c.Flags().BoolVar(&force, "force", false, "replace existing certificates and keys")
	c.Flags().StringVar(&out, "out", "", "existing `folder` that gets ca.crt, tls.crt and tls.key of one node, "+
		"instead of that of --dir")
	c.MarkFlagsMutuallyExclusive("out", "at")
	c.MarkFlagsMutuallyExclusive("out", "port")
	return c
}

// printDirectives writes those of the named nodes, and lists the other nodes that must add them as members.
func (s *store) printDirectives(w io.Writer, p placement, cluster string, names []string) error {
	all, err := s.members()
	if err != nil {
		return err
	}
	var others []string
	first := true
	for _, m := range all {
		switch {
		case m.err != nil:
			if slices.Contains(names, m.name) {
				return m.err
			}
		case !slices.Contains(names, m.name):
			others = append(others, m.name)
		default:
			if !first {
				fmt.Fprintln(w)
			}
			first = false
			if _, err := io.WriteString(w, p.directives(m, all, cluster)); err != nil {
				return err
			}
		}
	}
	if others != nil {
		fmt.Fprintf(w, "\n# The list of members is also that of: %s (\"starling certs show --directives "+
			"NAME\").\n", strings.Join(others, ", "))
	}
	return nil
}

func showCommand(open func() *store) *cobra.Command {
	var asJSON bool
	var directives string
	var p placement
	c := &cobra.Command{
		Use:   "show",
		Short: "show all certificates with their days left and their problems",
		Long: `Show all certificates of the folder: subject, names, days left, and problems. A certificate has a problem if it does
not belong to the CA, lacks its key, has expired, or cannot be used for both sides of a connection. The exit status is 1
if any certificate has a problem.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s := open()
			if directives != "" {
				return s.showDirectives(c.OutOrStdout(), p, directives)
			}
			list, err := s.reports()
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(c.OutOrStdout(), list)
			} else {
				err = writeTable(c.OutOrStdout(), list)
			}
			return errors.Join(err, unusable(list))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().StringVar(&directives, "directives", "", "print the directives of the node of this `name` instead")
	placementFlags(c, &p)
	return c
}

func (s *store) showDirectives(w io.Writer, p placement, name string) error {
	p, err := p.in(s)
	if err != nil {
		return err
	}
	trusted, err := s.trusted()
	if err != nil {
		return err
	}
	all, err := s.members()
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.name != name {
			continue
		}
		if m.err != nil {
			return m.err
		}
		_, err := io.WriteString(w, p.directives(m, all, clusterOf(trusted[0])))
		return err
	}
	return fmt.Errorf("no certificate of node %q in %s", name, s.dir)
}

func unusable(list []report) error {
	var names []string
	for _, r := range list {
		if len(r.Problems) > 0 {
			names = append(names, r.Name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("cannot be used: %s", strings.Join(names, ", "))
}

func rotateCommand(open func() *store) *cobra.Command {
	var r renewal
	var authorityToo, finish bool
	c := &cobra.Command{
		Use:   "rotate [NAME]...",
		Short: "renew certificates, or the CA, without an interruption",
		Long: `Renew certificates with new keys for the same subjects and names, so a node keeps its identity. Copy the files to the
node and reload it (starling -s reload). It connects again with the new certificate; nothing is lost.

A renewed certificate is valid for as long as the old one was. If the end of the CA had shortened the old one, it is
valid for the default time.

Renew the CA itself in three steps. After each, copy the files to all nodes and reload them one after the other:

  starling certs rotate --ca        ca.crt has both CAs; the new one signs
  starling certs rotate --all       the new CA has signed all certificates
  starling certs rotate --finish    ca.crt has only the new CA`,
		Args: func(_ *cobra.Command, args []string) error {
			ways := 0
			for _, chosen := range []bool{len(args) > 0, r.all, authorityToo, finish} {
				if chosen {
					ways++
				}
			}
			if ways != 1 {
				return errors.New("say what to renew: names of nodes, --all, --ca or --finish")
			}
			if r.within < 0 {
				return fmt.Errorf("--within %d is not a number of days", r.within)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			s, out := open(), c.OutOrStdout()
			switch {
			case authorityToo:
				return s.sayRotatedAuthority(out, r.days)
			case finish:
				if err := s.finish(); err != nil {
					return err
				}
				fmt.Fprintf(out, "Only the new CA is trusted. Copy ca.crt to all nodes and reload them.\n")
				return nil
			}
			r.names = args
			own, names, err := s.rotate(r)
			if err != nil {
				return err
			}
			own.sayCut(c.ErrOrStderr())
			if names == nil {
				fmt.Fprintf(out, "No certificate has fewer than %d days left: nothing was renewed.\n", r.within)
				return nil
			}
			for _, name := range names {
				fmt.Fprintf(out, "renewed %s and %s\n", s.path(name, certificateOf), s.path(name, keyOf))
			}
			fmt.Fprintf(out, "Copy them to their nodes and reload these one after the other: starling -s reload\n")
			return nil
		},
	}
	c.Flags().BoolVar(&r.all, "all", false, "renew the certificates of all nodes")
	c.Flags().IntVar(&r.within, "within", 0, "renew only what has fewer `days` left")
	c.Flags().BoolVar(&authorityToo, "ca", false, "make a new CA; nodes still trust the old one")
	c.Flags().BoolVar(&finish, "finish", false, "end the renewal of the CA: trust only the new CA")
	c.Flags().IntVar(&r.days, "days", 0, "`number` of days until it expires (default: as many as before)")
	return c
}

func (s *store) sayRotatedAuthority(w io.Writer, days int) error {
	if err := s.rotateAuthority(days); err != nil {
		return err
	}
	fmt.Fprint(w, "There is a new CA, which signs from now on. ca.crt has both CAs. Next:\n1. Copy ca.crt to "+
		"all nodes and reload them. Complete this step first: a node without it rejects the next certificates.\n"+
		"2. Run \"starling certs rotate --all\", copy each node's files and reload it.\n"+
		"3. Run \"starling certs rotate --finish\", copy ca.crt and reload all nodes.\n")
	return nil
}
