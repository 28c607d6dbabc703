package wire

import (
	"encoding/binary"
	"fmt"
)

// The messages by which a node sees what its peers see, so that one page can show the whole cluster. Peers of earlier
// releases skip the request.
const (
	// TypeViewRequest asks the dialer for its view.
	TypeViewRequest Type = 22
	// TypeView is the dialer's view of the cluster.
	TypeView Type = 23
)

const (
	// MaxViewed bounds the zones and the peers of a view: more than a page can show, and less than a frame can hold.
	MaxViewed = 256
	// maxViewedName is the longest name of a zone.
	maxViewedName = 255
)

// View is the cluster as one node sees it.
type View struct {
	Ready, Agree bool
	OffsetMS     int64 // cluster time minus the node's clock
	Zones        []ViewedZone
	Peers        []ViewedPeer
}

// ViewedZone is one shared zone of a view. A zone without Digest cannot be compared.
type ViewedZone struct {
	Name                                         string
	Agreement                                    Agreement
	Ready, Full, Comparable                      bool
	Digest                                       uint64
	Records, Pending, Tombstones, Bytes, Changes uint64
}

// ViewedPeer is one peer of a view.
type ViewedPeer struct {
	ID                uint64
	Pushing, Accepted bool // the connections to it and from it stand
	Agreement         Agreement
	LagMS, Pending    uint64
	RTTMS             uint64
	OffsetMS          int64
}

// Agreement is how records compare, worse ones being greater.
type Agreement uint8

// The agreements of a view.
const (
	AgreementNone Agreement = iota // not compared at all
	AgreementAlone
	AgreementAgree
	AgreementFull
	AgreementUnknown
	AgreementDiffer
)

// Append appends the body of a View frame.
func (v *View) Append(dst []byte) []byte {
	dst = append(dst, bit(v.Ready)|bit(v.Agree)<<1)
	dst = binary.AppendVarint(dst, v.OffsetMS)
	dst = binary.AppendUvarint(dst, uint64(len(v.Zones)))
	for i := range v.Zones {
		z := &v.Zones[i]
		dst = appendText(dst, z.Name)
		dst = append(dst, byte(z.Agreement), bit(z.Ready)|bit(z.Full)<<1|bit(z.Comparable)<<2)
		dst = binary.LittleEndian.AppendUint64(dst, z.Digest)
		for _, n := range []uint64{z.Records, z.Pending, z.Tombstones, z.Bytes, z.Changes} {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.Peers)))
	for i := range v.Peers {
		p := &v.Peers[i]
		dst = binary.LittleEndian.AppendUint64(dst, p.ID)
		dst = append(dst, bit(p.Pushing)|bit(p.Accepted)<<1, byte(p.Agreement))
		for _, n := range []uint64{p.LagMS, p.Pending, p.RTTMS} {
			dst = binary.AppendUvarint(dst, n)
		}
		dst = binary.AppendVarint(dst, p.OffsetMS)
	}
	return dst
}

// ParseView reads the body of a View frame.
func ParseView(body []byte) (View, error) {
	f := fields{rest: body}
	flags := f.byte()
	v := View{Ready: flags&1 != 0, Agree: flags&2 != 0, OffsetMS: f.varint()}
	for range f.count(MaxViewed, "zones") {
		v.Zones = append(v.Zones, f.viewedZone())
	}
	for range f.count(MaxViewed, "peers") {
		v.Peers = append(v.Peers, f.viewedPeer())
	}
	return v, named("view", f.err)
}

func (f *fields) viewedZone() ViewedZone {
	z := ViewedZone{Name: f.text(maxViewedName, "name of a zone"), Agreement: f.agreement()}
	flags := f.byte()
	z.Ready, z.Full, z.Comparable = flags&1 != 0, flags&2 != 0, flags&4 != 0
	z.Digest = f.fixed64()
	for _, n := range []*uint64{&z.Records, &z.Pending, &z.Tombstones, &z.Bytes, &z.Changes} {
		*n = f.uvarint()
	}
	return z
}

func (f *fields) viewedPeer() ViewedPeer {
	p := ViewedPeer{ID: f.fixed64()}
	flags := f.byte()
	p.Pushing, p.Accepted, p.Agreement = flags&1 != 0, flags&2 != 0, f.agreement()
	for _, n := range []*uint64{&p.LagMS, &p.Pending, &p.RTTMS} {
		*n = f.uvarint()
	}
	p.OffsetMS = f.varint()
	return p
}

func (f *fields) agreement() Agreement {
	a := Agreement(f.byte())
	if a > AgreementDiffer {
		f.fail(fmt.Errorf("unknown agreement %d", a))
	}
	return a
}
