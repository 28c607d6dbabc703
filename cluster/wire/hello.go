package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of the hello's parts.
const (
	// MaxZones bounds the zones of one node; configurations have a handful.
	MaxZones = 1000
	// MaxNameBytes bounds names of zones and clusters.
	MaxNameBytes = 255
	// MaxExpressionBytes bounds key expressions: even expressions as long as a log format fit.
	MaxExpressionBytes = 4096
	// MaxTextBytes bounds messages for the other side's log.
	MaxTextBytes = 1024
)

// Features are used only if both sides announced them.
const (
	// FeatureS2 means that the sender of the hello reads compressed frames.
	FeatureS2 uint64 = 1 << 0
	// FeatureSteady means that the tokens of the sender's heartbeats, and the bases and expiry times in its payloads,
	// are readings of one clock that is never set. Those of older releases are by cluster time.
	FeatureSteady uint64 = 1 << 4
)

// Zone is the description of a zone in a hello. Entries are length-prefixed, so later versions append to them.
type Zone struct {
	Name       string
	Kind       uint8
	Expression string
	Bytes      uint64
	TimeoutMS  uint64
	RateMilli  uint64
	// Origin identifies one life of the zone at the sender: sequences count within it.
	Origin uint64
	// Incarnation is the input of the origin, besides the node's id and incarnation and the zone's name; 0 if the
	// sender does not send it.
	Incarnation uint64
	// Lineage is the same in all lives of a zone that resumes from a state; 0 if the sender does not send it.
	Lineage uint64
	// Ready means that the sender holds what the cluster holds, so that it may teach.
	Ready bool
	// Covered means that the sender's journal still has everything the zone ever held.
	Covered bool
}

const (
	zoneReady   = 1 << 0
	zoneCovered = 1 << 1
)

// Hello is the first message of either side: of the dialer alone, of the acceptor inside a Reply.
type Hello struct {
	MinVersion, Version uint64
	Features            uint64
	NodeID, Incarnation uint64
	Cluster             string
	TimeoutMS           uint64
	WallMS              uint64
	Zones               []Zone
	// Proof is the input of the node id, if the sender has certificates.
	Proof Proof
}

// Proof shows that a node id was made for the certificates of these subjects; see PROTOCOL.md.
type Proof struct {
	Salt     uint64
	Subjects []string
}

const (
	// maxSubjects bounds the certificates of a proof: those of a node's two sides, of several kinds.
	maxSubjects = 8
	// MaxSubjectBytes bounds the name in a certificate.
	MaxSubjectBytes = 1024
)

// append appends a proof, or nothing if there is none.
func (p *Proof) append(dst []byte) []byte {
	if len(p.Subjects) == 0 {
		return dst
	}
	dst = binary.LittleEndian.AppendUint64(dst, p.Salt)
	dst = binary.AppendUvarint(dst, uint64(len(p.Subjects)))
	for _, subject := range p.Subjects {
		dst = appendText(dst, subject)
	}
	return dst
}

func (f *fields) proof() (p Proof) {
	if len(f.rest) < 8 {
		f.rest = nil // an older or newer release
		return p
	}
	p.Salt = f.fixed64()
	for range f.count(maxSubjects, "subjects") {
		p.Subjects = append(p.Subjects, f.text(MaxSubjectBytes, "subject"))
	}
	return p
}

// Append appends the body of a Hello frame.
func (h *Hello) Append(dst []byte) []byte {
	for _, v := range [...]uint64{h.MinVersion, h.Version, h.Features} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.LittleEndian.AppendUint64(dst, h.NodeID)
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = appendText(dst, h.Cluster)
	dst = binary.AppendUvarint(dst, h.TimeoutMS)
	dst = binary.AppendUvarint(dst, h.WallMS)
	return h.Proof.append(appendZones(dst, h.Zones))
}

func appendZones(dst []byte, zones []Zone) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(zones)))
	var entry []byte
	for i := range zones {
		entry = zones[i].append(entry[:0])
		dst = binary.AppendUvarint(dst, uint64(len(entry)))
		dst = append(dst, entry...)
	}
	return dst
}

func (z *Zone) append(dst []byte) []byte {
	dst = appendText(dst, z.Name)
	dst = append(dst, z.Kind)
	dst = appendText(dst, z.Expression)
	for _, v := range [...]uint64{z.Bytes, z.TimeoutMS, z.RateMilli} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.LittleEndian.AppendUint64(dst, z.Origin)
	var flags byte
	if z.Ready {
		flags |= zoneReady
	}
	if z.Covered {
		flags |= zoneCovered
	}
	dst = append(dst, flags)
	switch {
	case z.Lineage != 0:
		dst = binary.LittleEndian.AppendUint64(dst, z.Lineage)
	case z.Incarnation != 0:
		dst = binary.LittleEndian.AppendUint64(dst, z.Origin)
	}
	if z.Incarnation != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, z.Incarnation)
	}
	return dst
}

// ParseHello reads the body of a Hello frame. Fields appended by later versions are ignored.
func ParseHello(body []byte) (Hello, error) {
	f := &fields{rest: body}
	h := f.hello()
	if f.err != nil {
		return Hello{}, fmt.Errorf("hello: %w", f.err)
	}
	return h, nil
}

func (f *fields) hello() (h Hello) {
	h.MinVersion, h.Version, h.Features = f.uvarint(), f.uvarint(), f.uvarint()
	h.NodeID, h.Incarnation = f.fixed64(), f.fixed64()
	h.Cluster = f.text(MaxNameBytes, "cluster name")
	h.TimeoutMS, h.WallMS = f.uvarint(), f.uvarint()
	h.Zones, h.Proof = f.zones(), f.proof()
	return h
}

func (f *fields) zones() (zones []Zone) {
	for range f.count(MaxZones, "zones") {
		entry := fields{rest: f.span(MaxHelloBytes, "zone")}
		z := entry.zone()
		if f.err == nil && entry.err != nil {
			f.fail(entry.err)
		}
		if f.err != nil {
			return zones
		}
		zones = append(zones, z)
	}
	return zones
}

func (f *fields) zone() (z Zone) {
	z.Name = f.text(MaxNameBytes, "zone name")
	z.Kind = f.byte()
	z.Expression = f.text(MaxExpressionBytes, "key expression")
	z.Bytes, z.TimeoutMS, z.RateMilli = f.uvarint(), f.uvarint(), f.uvarint()
	z.Origin = f.fixed64()
	flags := f.byte()
	z.Ready, z.Covered = flags&zoneReady != 0, flags&zoneCovered != 0
	if len(f.rest) >= 8 {
		if z.Lineage = f.fixed64(); z.Lineage == z.Origin {
			z.Lineage = 0
		}
	}
	if len(f.rest) >= 8 {
		z.Incarnation = f.fixed64()
	}
	return z
}

// Status is the acceptor's answer to a hello.
type Status uint8

// The answers.
const (
	StatusAccepted Status = 0
	// StatusDuplicate: a connection of this very run of the node is established. The dialer takes over or leaves.
	StatusDuplicate Status = 1
	// StatusSelf: the dialer reached itself.
	StatusSelf Status = 2
	// StatusRefused: the text is the reason.
	StatusRefused Status = 3
)

// Resume is where the dialer's journal of one zone must start.
type Resume struct {
	// Zone is the index in the dialer's hello.
	Zone uint64
	// Sequence is the first requested frame; 0 is the oldest kept, from a node that is being taught.
	Sequence uint64
}

// Reply answers a Hello.
type Reply struct {
	Status  Status
	Text    string
	Hello   Hello
	Resumes []Resume
}

// Append appends the body of a Reply frame.
func (r *Reply) Append(dst []byte) []byte {
	dst = append(dst, byte(r.Status))
	dst = appendText(dst, r.Text)
	hello := r.Hello.Append(nil)
	dst = binary.AppendUvarint(dst, uint64(len(hello)))
	dst = append(dst, hello...)
	return appendResumes(dst, r.Resumes)
}

func appendResumes(dst []byte, list []Resume) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, resume := range list {
		dst = binary.AppendUvarint(dst, resume.Zone)
		dst = binary.AppendUvarint(dst, resume.Sequence)
	}
	return dst
}

func (f *fields) resumes() (list []Resume) {
	for range f.count(MaxZones, "resumes") {
		list = append(list, Resume{Zone: f.uvarint(), Sequence: f.sequence()})
	}
	return list
}

// ParseReply reads the body of a Reply frame.
func ParseReply(body []byte) (Reply, error) {
	f := &fields{rest: body}
	var r Reply
	r.Status = Status(f.byte())
	r.Text = f.text(MaxTextBytes, "text")
	inner := &fields{rest: f.span(MaxHelloBytes, "hello")}
	r.Hello = inner.hello()
	r.Resumes = f.resumes()
	if err := errors.Join(f.err, inner.err); err != nil {
		return Reply{}, fmt.Errorf("reply: %w", err)
	}
	return r, nil
}
