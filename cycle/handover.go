package cycle

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"starling/carrier"
	"starling/cluster"
	"starling/cluster/wire"
	"starling/logs"
	"starling/modules/stream/zonesync"
	"starling/plan"
	"starling/zone"
	"starling/zone/kinds"
)

// The binary is replaced by a second process that inherits the sockets. The two share their zones like nodes of a
// cluster until the old one has ended; docs/decisions/2026-11-28-upgrade.md has the reasons.

// Network is one of the two clusters that the processes form.
type Network string

// The networks: zones with sync are shared by the node's own cluster, in which each process is a node; all others by a
// cluster of these two only.
const (
	Cluster Network = "cluster"
	Local   Network = "local"
)

// Peer is the other process.
type Peer struct {
	// Name identifies it in logs: "process 123".
	Name string
	// Subject is that of the certificate of zone_sync, "" without one, and Selves are the addresses of members at which
	// this node is reached. The old process tells the new one.
	Subject string
	Selves  []string
	// Dial connects to a network of it.
	Dial func(Network) (net.Conn, error)
}

func (p *Peer) link(n Network) *carrier.Link {
	l := &carrier.Link{
		Name: p.Name, Subject: p.Subject, Selves: p.Selves,
		Dial: func() (net.Conn, error) { return p.Dial(n) },
	}
	if n == Local {
		l.Subject, l.Selves = "", nil
	}
	return l
}

// Handover shares the zones of this process with another one.
type Handover struct {
	host  *Host
	peer  *Peer
	zones []published
	local *carrier.Carrier
	id    cluster.NodeID
	serve map[Network]*carrier.Link
}

// published is a zone that no cluster shares.
type published interface {
	zone.Shared
	Publish()
	Unpublish()
}

// Identity is what the other process must know of this one: see Peer.
func (h *Host) Identity() (subject string, selves []string) {
	c, subject := zonesync.Node(h.Current().plan)
	if c != nil {
		selves = c.Selves()
	}
	return subject, selves
}

// Succeed makes this process the successor of another one. Call it before the first Load: its node of the cluster
// shares zones with that process from the start, and what only one process may have stays there until Seize.
func (h *Host) Succeed(p *Peer) { h.predecessor = p }

// succeeds reports whether another process still has what this one will take over.
func (h *Host) succeeds() bool { return h.predecessor != nil && !h.seized }

// Inherit gives the host the sockets of the process that it succeeds, except those that its configuration does not
// name. foreign is what Sockets returned there.
func (h *Host) Inherit(files []*os.File, foreign []string) error {
	if err := h.Pass(files); err != nil {
		return err
	}
	h.inherited = map[string]bool{}
	for _, s := range h.passed {
		if s.addr.IsUnix() && !slices.Contains(foreign, s.addr.Path) {
			h.inherited[s.addr.Path] = true
		}
	}
	return nil
}

// Share starts to share the zones of the running configuration. The old process has the records, and is ready at once;
// the new one has joined, and learns. The old process calls Connect when the new one is there.
func (h *Host) Share(ctx context.Context, p *Peer) (*Handover, error) {
	o := &Handover{host: h, peer: p, serve: map[Network]*carrier.Link{Cluster: p.link(Cluster), Local: p.link(Local)}}
	o.zones = localZones(h.Current().plan)
	for _, z := range o.zones {
		z.Publish()
	}
	config, err := o.config()
	if err == nil {
		if h.predecessor != nil {
			config.Link = o.serve[Local]
		}
		o.local, err = carrier.New(config)
	}
	if err != nil {
		o.unpublish()
		return nil, err
	}
	o.local.Start()
	if h.predecessor != nil {
		return o, nil
	}
	if err := o.untilReady(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// config is the node of the two processes' own cluster.
func (o *Handover) config() (carrier.Config, error) {
	p := o.host.Current().plan
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return carrier.Config{}, fmt.Errorf("cannot generate a node ID: %w", err)
	}
	o.id = cluster.NodeID(binary.LittleEndian.Uint64(random[:8]) | 1)
	c := carrier.Config{Clock: p.Clock.Local(), Log: handoverLog{o.host}}
	c.Node = cluster.Config{
		ID: o.id, Incarnation: binary.LittleEndian.Uint64(random[8:]) | 1, Cluster: "upgrade",
		Kinds: kinds.Kinds(),
		// Zones without sync have no sketch: frames that are lost are taught again.
		Withhold: wire.FeatureRepair,
	}
	for _, z := range o.zones {
		c.Node.Zones = append(c.Node.Zones, z)
	}
	return c, nil
}

// localZones are the zones that the node's own cluster does not share.
func localZones(p *plan.Plan) (list []published) {
	node, _ := zonesync.Node(p)
	for _, z := range p.Zones.All() {
		kept, ok := z.Value.(interface{ Unwrap() zone.Shared })
		if !ok || z.Sync && node != nil {
			continue
		}
		if local, ok := kept.Unwrap().(published); ok {
			list = append(list, local)
		}
	}
	return list
}

func (o *Handover) carriers() map[Network]*carrier.Carrier {
	all := map[Network]*carrier.Carrier{Local: o.local}
	if node, _ := zonesync.Node(o.host.Current().plan); node != nil {
		all[Cluster] = node
	}
	return all
}

// Connect dials the new process, over the networks that it has.
func (o *Handover) Connect(has []Network) {
	for n, c := range o.carriers() {
		if slices.Contains(has, n) {
			c.SetLink(o.serve[n])
		}
	}
}

// Networks are those that this process has.
func (o *Handover) Networks() (has []Network) {
	for n := range o.carriers() {
		has = append(has, n)
	}
	return has
}

// Serve serves a connection that the other process has dialled.
func (o *Handover) Serve(n Network, conn net.Conn) {
	c := o.carriers()[n]
	if c == nil {
		conn.Close() // the two configurations differ in zone_sync
		return
	}
	c.ServeLink(conn, o.serve[n])
}

// Connected returns nil if the two processes are connected in both directions, or which network is not, and why.
func (o *Handover) Connected() error {
	for n, c := range o.carriers() {
		if both, trouble := c.Linked(); !both {
			return fmt.Errorf("the %s zones are not connected with %s yet%s", n, o.peer.Name, because(trouble))
		}
	}
	return nil
}

func because(trouble string) string {
	if trouble == "" {
		return ""
	}
	return ": " + trouble
}

// Ready returns nil if this process has all records of the other one, or what is missing.
func (o *Handover) Ready() error {
	if err := o.Connected(); err != nil {
		return err
	}
	for n, c := range o.carriers() {
		if !c.Node().Ready() {
			return fmt.Errorf("the initial sync of the %s zones with %s has not completed", n, o.peer.Name)
		}
	}
	return nil
}

// untilReady waits until the zones can be taught: those of a cluster that has just started cannot.
func (o *Handover) untilReady(ctx context.Context) error {
	for n, c := range o.carriers() {
		for !c.Node().Ready() {
			if err := pausePolling(ctx); err != nil {
				return fmt.Errorf("the initial sync of the %s zones has not completed", n)
			}
		}
	}
	return nil
}

// Drain sends what was changed so far and waits until the other process has it. Other members that are slower do not
// count against it: ctx ends the wait.
func (o *Handover) Drain(ctx context.Context) error {
	var errs []error
	for n, c := range o.carriers() {
		if err := c.DrainLink(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s zones: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

// ReadOut waits until this process has all that the other one, which has ended, had sent before: it may be nowhere
// else.
func (o *Handover) ReadOut(ctx context.Context) error {
	var errs []error
	for n, c := range o.carriers() {
		if err := c.ReadLink(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s zones: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

// Redirect lets the other members of the cluster dial again: the other process accepts now.
func (o *Handover) Redirect() {
	if node, _ := zonesync.Node(o.host.Current().plan); node != nil {
		node.Redirect()
	}
}

// Follow adopts the zones of a configuration that a reload has brought.
func (o *Handover) Follow() error {
	before := o.zones
	o.zones = localZones(o.host.Current().plan)
	kept := map[published]bool{}
	for _, z := range o.zones {
		z.Publish()
		kept[z] = true
	}
	config, err := o.config()
	if err == nil {
		err = o.local.Reload(config)
	}
	for _, z := range before {
		if !kept[z] {
			z.Unpublish()
		}
	}
	return err
}

// Quit sends the rest and takes leave of the other process: this one ends.
func (o *Handover) Quit(ctx context.Context) error {
	err := o.local.Quit(ctx)
	o.unpublish()
	return err
}

// Close ends the handover: the other process has ended.
func (o *Handover) Close() {
	o.host.predecessor, o.host.seized = nil, false
	for n, c := range o.carriers() {
		if n == Cluster {
			c.SetLink(nil)
		}
	}
	o.local.Close()
	o.unpublish()
}

func (o *Handover) unpublish() {
	for _, z := range o.zones {
		z.Unpublish()
	}
}

// Yield closes the files that only one process may write.
func (h *Host) Yield(persist func() error) error {
	var errs []error
	for _, x := range h.Current().plan.Exclusives() {
		errs = append(errs, x.Yield(persist))
	}
	return errors.Join(errs...)
}

// Seize opens these files, and merges what the other process wrote there. On an error some may be open: Yield closes
// them, and another Seize opens the rest.
func (h *Host) Seize() error {
	h.seized = true
	for _, x := range h.Current().plan.Exclusives() {
		if err := x.Seize(); err != nil {
			return err
		}
	}
	return nil
}

// Persist waits until all that this process knows is in these files.
func (h *Host) Persist() error {
	var errs []error
	for _, x := range h.Current().plan.Exclusives() {
		errs = append(errs, x.Persist())
	}
	return errors.Join(errs...)
}

// OwnSockets sets whether this process removes the paths of its unix sockets when it closes them. Those that a service
// manager passed to it are never its own.
func (h *Host) OwnSockets(mine bool) {
	for _, l := range h.listeners {
		if !l.passed {
			l.own(mine)
		}
	}
}

// Sockets are copies of the descriptors of all listening sockets, for another process. foreign are the paths of those
// that a service manager has made.
func (h *Host) Sockets() (files []*os.File, foreign []string, err error) {
	for _, l := range h.listeners {
		f, err := l.file()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, fmt.Errorf("dup() of the socket of %s failed: %w", l.key.addr, err)
		}
		files = append(files, f)
		if l.passed && l.key.addr.IsUnix() {
			foreign = append(foreign, l.key.addr.Path)
		}
	}
	return files, foreign, nil
}

// file is a copy of the descriptor. That of net would make the socket, which the two share, a blocking one as soon as
// it is passed to a child.
func (l *listener) file() (*os.File, error) {
	var socket any = l.socket
	if l.packets != nil {
		socket = l.packets
	}
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var copied int
	var failed error
	err = raw.Control(func(fd uintptr) { copied, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), l.key.addr.String()), nil
}

// handoverLog is the log of the processes' own cluster: what it says of peers is about the other process, and no news.
type handoverLog struct{ host *Host }

// Enabled implements logs.Logger.
func (l handoverLog) Enabled(level logs.Level) bool { return l.host.Log().Enabled(demoted(level)) }

// Logf implements logs.Logger.
func (l handoverLog) Logf(level logs.Level, format string, args ...any) {
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "zone_sync: ")
	l.host.Log().Logf(demoted(level), "upgrade: %s", text)
}

// demoted lowers notices.
func demoted(level logs.Level) logs.Level {
	if level == logs.Notice {
		return logs.Info
	}
	return level
}

// pollEvery is short compared to a round trip.
const pollEvery = 2 * time.Millisecond

// pausePolling waits for the next look at a condition, or returns the error of ctx.
func pausePolling(ctx context.Context) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
