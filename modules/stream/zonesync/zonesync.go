package zonesync

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"starling/carrier"
	"starling/cluster"
	"starling/cluster/wire"
	"starling/conf"
	"starling/lib/clock"
	"starling/lib/resolver"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/stream"
	"starling/zone"
	"starling/zone/kinds"
)

// followEvery is how often the clock of the zones is set to the time of the cluster.
const followEvery = 100 * time.Millisecond

// maxHandshakes equals the carrier's limit of connections that wait for a hello: strangers of both kinds cost no more.
const maxHandshakes = 256

// state is the cluster's side of one configuration. A reload hands the carrier, with its connections, to the next one.
type state struct {
	declared bool       // a server has zone_sync
	node     *conf.Node // of the zone_sync that makes the configuration a cluster node
	listens  side.Listens
	config   carrier.Config
	// prepared is the same, once the configuration starts.
	prepared *carrier.Prepared
	// carrier is set when the configuration starts.
	carrier atomic.Pointer[carrier.Carrier]
	// rules is the digest of the rules of who may connect; if it changes, all connections are reopened.
	rules [sha256.Size]byte
	// directives is the same without the files; if it changes, peers may be identified differently.
	directives [sha256.Size]byte
	// distrust is why peers with the same files reject this node's certificate; nil if they do not.
	distrust func(now time.Time) error
	// running is done when another configuration has taken over.
	running context.Context
	// handedOver means that the next configuration has the carrier, or that it was closed.
	handedOver atomic.Bool
	// left means that this configuration closed the carrier, and none follows it into the cluster.
	left atomic.Bool
}

// serve marks the server and warns the operator if it is open to strangers.
func serve(b *stream.Block, server *stream.Server) error {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.Enabled {
		if len(s.Members) > 0 {
			return conf.At(b.Scope.Node, "\"zone_sync_server\" requires \"zone_sync\" in the same server")
		}
		return nil
	}
	server.KeepUntilLast, server.MaxHandshakes = true, maxHandshakes
	server.Sparing = logs.NewSparing(server.Log)
	b.Plan.OnRetire(server.Sparing.Close)
	if listen := server.ListensBeyondLoopback(); listen != nil && !server.VerifiesClients {
		b.Plan.Log.Logf(logs.Warn, "%v",
			conf.At(listen, "zone_sync listens on a non-loopback address without verifying client certificates: any "+
				"client that connects can change the shared zones; use \"listen ... ssl\" with \"ssl_verify_client "+
				"on\""))
	}
	return nil
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.Enabled {
		return nil, nil
	}
	mine := plan.Part[state](b.Plan)
	if mine.node != nil {
		return nil, conf.At(
			s.node,
			"\"zone_sync\" directive is duplicate, the first is in %s:%d",
			mine.node.File,
			mine.node.Line,
		)
	}
	if b.Server.TakesDatagrams() {
		return nil, conf.At(s.node, "\"zone_sync\" requires TCP and cannot be used in a server with \"listen ... udp\"")
	}
	mine.node, mine.listens = s.node, listensOf(b)
	config, err := configure(b, s)
	if err != nil {
		return nil, err
	}
	mine.config = config
	if b.Plan.Testing {
		return handle(mine), mine.try(b.Plan)
	}
	b.Plan.OnStart(func(ctx context.Context) error { return mine.start(ctx, b.Plan) })
	b.Plan.OnSwitch(func() { mine.join(b.Plan) })
	b.Plan.BeforeClients(func(ctx context.Context) { mine.taught(ctx, b.Plan.Log) })
	b.Plan.OnQuit(func(ctx context.Context) {
		mine.handedOver.Store(true)
		if err := mine.carrier.Load().Quit(ctx); err != nil {
			b.Plan.Log.Logf(logs.Warn, "%v", err)
		}
	})
	b.Plan.OnRetire(func() { mine.retire(b.Plan.Clock) })
	return handle(mine), nil
}

// configure builds the carrier's configuration from the bound settings.
func configure(b *stream.Block, s *Settings) (carrier.Config, error) {
	p := b.Plan
	c := carrier.Config{
		Members:       s.Members,
		RetryInterval: s.RetryInterval,
		ReceiveBytes:  int(s.ReceiveBytes),
		Clock:         p.Clock.Local(),
		Log:           b.Server.Log,
	}
	c.Node = cluster.Config{Cluster: s.Cluster, Kinds: kinds.Kinds(), Settings: cluster.Settings{
		TimeoutMS: s.Timeout.Milliseconds(), ConnectTimeoutMS: s.ConnectTimeout.Milliseconds(),
		IntervalMS: s.Interval.Milliseconds(), Buffers: s.Buffers, BufferBytes: s.BufferBytes,
	}}
	if c.ReceiveBytes == 0 {
		c.ReceiveBytes = s.Buffers * s.BufferBytes
	} else if c.ReceiveBytes < s.BufferBytes {
		return c, conf.At(b.Scope.Node, "\"zone_sync_recv_buffer_size\" must be at least the size of one of "+
			"\"zone_sync_buffers\"")
	}
	var err error
	if c.Node.Zones, err = sharedZones(p); err != nil {
		return c, err
	}
	if c.Strict, err = strictLimits(b, s); err != nil {
		return c, err
	}
	if c.Resolver, err = names(b, s); err != nil {
		return c, err
	}
	var files ssl.Digest
	mine := plan.Part[state](p)
	if s.TLS.On {
		var own *tls.Config
		var client *ssl.Client
		if c.ClientTLS, client, files, err = clientTLS(b, s); err != nil {
			return c, err
		}
		own = client.Config("", false)
		c.Node.Subjects = subjects(own)
		mine.distrust = func(now time.Time) error { return distrust(b, s, client, own, now) }
		if err := mine.checkTrust(p, time.Now()); err != nil {
			return c, err
		}
	}
	if t := b.Server.TLS; t != nil {
		c.Node.Subjects = append(c.Node.Subjects, subjects(t.Config)...)
	}
	if err == nil {
		c.Node.ID, c.Node.Incarnation, c.Node.Proof, err = identity(p, c.Node.Subjects)
	}
	p.NodeID = c.Node.ID.String()
	mine.rules, mine.directives = rules(b, files)
	c.Link = plan.Part[Predecessor](p).Link
	return c, err
}

// subjects are those of this node's certificates.
func subjects(config *tls.Config) (list []string) {
	if config == nil {
		return nil
	}
	for _, cert := range config.Certificates {
		if cert.Leaf == nil {
			continue
		}
		if subject := ssl.Identity(cert.Leaf); !slices.Contains(list, subject) &&
			len(subject) <= wire.MaxSubjectBytes &&
			len(list) < maxSubjects {
			list = append(list, subject)
		}
	}
	return list
}

// maxSubjects is how many certificates of one side count: a node has one, of a few kinds.
const maxSubjects = 4

// noRules are directives of stream that do not affect who may connect. Peers learn of zones over the existing
// connections.
var noRules = []string{"keyval", "keyval_zone", "limit_conn_zone", "log_format"}

// rules is a digest of who may connect to whom: the directives of the server and of the enclosing block, except those
// of zone_sync that the carrier applies by itself, and the files of both sides' TLS; directives omits the files.
func rules(b *stream.Block, client ssl.Digest) (all, directives [sha256.Size]byte) {
	h := sha256.New()
	for scope := b.Scope; scope != nil; scope = scope.Parent {
		for _, n := range scope.Node.Block {
			tuning := strings.HasPrefix(n.Name, "zone_sync_") && !strings.HasPrefix(n.Name, "zone_sync_ssl")
			if !n.Opens && !tuning && !slices.Contains(noRules, n.Name) {
				fmt.Fprintf(h, "%q %q\n", n.Name, n.Words) // a hash write does not fail
			}
		}
	}
	h.Sum(directives[:0])
	h.Write(client[:])
	if t := b.Server.TLS; t != nil {
		h.Write(t.Files[:])
	}
	h.Sum(all[:0])
	return all, directives
}

// member is what a process remembers of the cluster, also while its configuration has no zone_sync.
type member struct {
	// last is the last configuration that was in the cluster.
	last *state
}

// identity identifies the node and this run of it; a reload keeps both, and so does one that returns to the cluster:
// the journals of the zones go on. With certificates the id is derived from their subjects, so that no node with
// another certificate can claim it.
func identity(p *plan.Plan, subjects []string) (id cluster.NodeID, incarnation uint64, proof wire.Proof, err error) {
	if last := plan.OfProcess[member](p).last; last != nil {
		was := last.config.Node
		if oldState(p) != nil || slices.Equal(was.Proof.Subjects, subjects) {
			return was.ID, was.Incarnation, was.Proof, nil
		}
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return 0, 0, proof, fmt.Errorf("cannot generate a node ID: %w", err)
	}
	// Neither may be 0.
	salt, incarnation := binary.LittleEndian.Uint64(random[:8])|1, binary.LittleEndian.Uint64(random[8:])|1
	if len(subjects) == 0 {
		return cluster.NodeID(salt), incarnation, proof, nil
	}
	proof = wire.Proof{Salt: salt, Subjects: subjects}
	return cluster.IDOf(proof), incarnation, proof, nil
}

// oldState is the configuration whose carrier this one takes over, nil if there is none: the previous one, or an
// earlier one whose last requests have not ended.
func oldState(p *plan.Plan) *state {
	if last := plan.OfProcess[member](p).last; last != nil && !last.handedOver.Load() {
		return last
	}
	return nil
}

// Predecessor is the process that this one replaces, if the cycle says so before the configuration is built.
type Predecessor struct{ Link *carrier.Link }

// Node is the carrier of a running configuration, nil if it is no node of a cluster, and the subject of its
// certificate, "" without one.
func Node(p *plan.Plan) (c *carrier.Carrier, subject string) {
	s := plan.Part[state](p)
	if subjects := s.config.Node.Subjects; len(subjects) > 0 {
		subject = subjects[0]
	}
	return s.carrier.Load(), subject
}

func sharedZones(p *plan.Plan) ([]zone.Shared, error) {
	var list []zone.Shared
	for _, z := range p.Zones.All() {
		if !z.Sync {
			continue
		}
		kept, ok := z.Value.(interface{ Unwrap() zone.Shared })
		if !ok {
			return nil, &conf.Problem{
				What: fmt.Sprintf("zone \"%s\" of type %T cannot be shared", z.Name, z.Value),
				File: z.File,
				Line: z.Line,
			}
		}
		list = append(list, kept.Unwrap())
	}
	return list, nil
}

// asking lets the carrier use the block's resolver.
type asking struct{ *resolver.Resolver }

// LookupAddrs implements carrier.Resolver.
func (r asking) LookupAddrs(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	return r.Lookup(ctx, name)
}

// names returns the resolver for names of members: the block's for those with resolve; nil is the system's.
func names(b *stream.Block, s *Settings) (carrier.Resolver, error) {
	settings := conf.SettingsOf[stream.Settings](b.Scope).Resolver
	r, err := b.Plan.Resolver(settings)
	if err != nil {
		return nil, err
	}
	if r != nil {
		return asking{r}, nil
	}
	for _, m := range s.Members {
		if m.Resolve {
			return nil, conf.At(b.Scope.Node, "no resolver defined to resolve \"%s\"", m.Host)
		}
	}
	return nil, nil
}

// clientTLS returns the settings for dialling a member.
func clientTLS(
	b *stream.Block,
	s *Settings,
) (dial func(carrier.Member, netip.AddrPort) *tls.Config, client *ssl.Client, files ssl.Digest, err error) {
	bound := s.TLS
	if err := bound.Pair("zone_sync_ssl"); err != nil {
		return nil, nil, ssl.Digest{}, err
	}
	read, digest := ssl.Digesting(b.Plan.ReadFile)
	client, warnings, err := bound.ClientSettings.Build(read)
	if err != nil {
		return nil, nil, ssl.Digest{}, err
	}
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%v", conf.At(b.Scope.Node, "%s", w))
	}
	b.Plan.UseCertificates("zone_sync_ssl_certificate", b.Scope.Node, client.Used())
	b.Plan.TrustCertificates("zone_sync_ssl_trusted_certificate", b.Scope.Node, client.Trusted())
	return func(m carrier.Member, address netip.AddrPort) *tls.Config {
		name := bound.Name
		switch {
		case name != "":
		case m.Unix != "":
			name = "localhost"
		case m.Resolve:
			name = address.Addr().String()
		default:
			name = m.Host
		}
		config := client.Config(name, bound.SendName)
		if !m.Resolve || bound.Name != "" || config.VerifyConnection == nil {
			return config
		}
		return explained(config)
	}, client, digest(), nil
}

// explained adds to a failed verification what NGINX's documentation leaves out.
func explained(config *tls.Config) *tls.Config {
	verify := config.VerifyConnection
	config = config.Clone()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verify(state); err != nil {
			return fmt.Errorf(
				"%w; members with \"resolve\" are verified by IP address: add that address to the certificate, or "+
					"set \"zone_sync_ssl_name\"",
				err,
			)
		}
		return nil
	}
	return config
}

// start prepares everything that can fail.
func (s *state) start(ctx context.Context, p *plan.Plan) (err error) {
	s.running = ctx
	// Health checks that are built after this server have declared zones, too.
	if s.config.Node.Zones, err = sharedZones(p); err != nil {
		return err
	}
	if s.prepared, err = carrier.Prepare(ctx, s.config); err == nil {
		s.advise(p, s.prepared)
	}
	return err
}

// join takes the carrier over from the previous configuration, or creates one.
func (s *state) join(p *plan.Plan) {
	old, err := oldState(p), error(nil)
	if old != nil && !old.handedOver.Swap(true) {
		c := old.carrier.Load()
		err = c.Apply(s.prepared)
		s.carrier.Store(c)
		if old.rules != s.rules { // not before the old rules have stopped accepting connections
			anew := old.directives != s.directives
			context.AfterFunc(old.running, func() { c.Reconnect("access rules changed on reload", anew) })
		}
	} else {
		var c *carrier.Carrier
		if c, err = s.prepared.New(); err == nil {
			s.carrier.Store(c)
			c.Start()
		}
	}
	if err != nil { // Prepare has found no fault
		p.Log.Logf(logs.Alert, "zone_sync: cannot apply the configuration: %v", err)
		return
	}
	plan.OfProcess[member](p).last = s
	go s.follow(s.running, p)
}

// teachPoll is short compared to a round trip and a teach.
const teachPoll = 2 * time.Millisecond

// taught waits until the node has synced with the others, or finds none to sync with. A client served earlier would
// lose its session and find its limits unused.
func (s *state) taught(ctx context.Context, log logs.Logger) {
	poll := time.NewTicker(teachPoll)
	defer poll.Stop()
	for s.carrier.Load().Learning() || s.carrier.Load().StrictUnsettled() != "" {
		select {
		case <-poll.C:
		case <-ctx.Done():
			if why := s.carrier.Load().StrictUnsettled(); why != "" {
				log.Logf(logs.Warn, "zone_sync: accepting clients before strict limits work: %s", why)
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && s.carrier.Load().Learning() {
				log.Logf(logs.Notice, "zone_sync: accepting clients before the initial sync completed%s",
					unheard(s.carrier.Load().Unheard()))
			}
			return
		}
	}
}

// unheard reports members that are awaited for longer than clients can wait: most often they load a large state.
func unheard(members string) string {
	if members == "" {
		return ""
	}
	return fmt.Sprintf("; no answer yet from %s, which may still be loading its state file: "+
		"this node syncs with it as soon as it answers", members)
}

// follow keeps the clock of the zones at the time of the cluster.
func (s *state) follow(ctx context.Context, p *plan.Plan) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	local := p.Clock.Local()
	for {
		select {
		case <-ctx.Done():
			if s.left.Load() {
				p.Clock.Unfollow()
			}
			return
		case <-tick.C:
			now := local.Now()
			p.Clock.Follow(s.carrier.Load().Node().ClusterTime(now).WallMS - now.MonoMS)
		}
	}
}

// retire leaves the cluster, unless the next configuration stays in it.
func (s *state) retire(zones *clock.Clock) {
	if c := s.carrier.Load(); c != nil && !s.handedOver.Swap(true) {
		c.Close()
		s.left.Store(true)
		zones.Unfollow() // follow may still be running, and checks once more at its end
	}
}

// handle serves a node that has connected. Its session belongs to the carrier, not to the configuration that accepted
// it.
func handle(mine *state) stream.Handler {
	return func(s *stream.Session) stream.Result {
		s.Detach()
		client := carrier.Client{Name: s.Remote.String(), Host: s.Remote.Addr().Unmap().WithZone("").String()}
		if !s.Remote.IsValid() {
			client = carrier.Client{Name: "unix:", Host: "unix:"}
		}
		if s.Peer != nil && s.Peer.Certificate != nil {
			client.Name += " \"" + s.Peer.SubjectDN() + "\""
			if s.Peer.Code == ssl.VerifyOK {
				client.Subject = ssl.Identity(s.Peer.Certificate)
			}
		}
		mine.carrier.Load().Serve(s.Conn, client)
		return stream.Done
	}
}
