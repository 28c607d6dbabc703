package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"starling/cluster/wire"
	"starling/lib/clock"
)

// viewEveryMS is how often a node makes its view at most, and asks a peer for its. A page looks once a second.
const viewEveryMS = 500

// View is the cluster as a peer has told that it sees it.
type View struct {
	AgeMS    int64               `json:"age_ms"` // since it arrived
	Ready    bool                `json:"ready"`
	Agree    bool                `json:"nodes_agree"`
	OffsetMS int64               `json:"clock_offset_ms"`
	Zones    map[string]ZoneView `json:"zones"`
	Peers    []ViewedPeer        `json:"peers"`
}

// ZoneView is one zone of a View; the fields are those of ZoneStatus.
type ZoneView struct {
	Pending    uint64 `json:"records_pending"`
	Records    uint64 `json:"records_total"`
	Ready      bool   `json:"ready"`
	Digest     string `json:"digest,omitempty"`
	Agreement  string `json:"agreement,omitempty"`
	Full       bool   `json:"full"`
	Tombstones uint64 `json:"tombstones"`
	Bytes      uint64 `json:"record_bytes"`
	Changes    uint64 `json:"changes"`
}

// ViewedPeer is one peer of a View; the fields are those of PeerStatus.
type ViewedPeer struct {
	NodeID    string `json:"node_id"`
	State     string `json:"state"`
	Pushing   bool   `json:"pushing"`
	Accepted  bool   `json:"accepted"`
	Agreement string `json:"agreement,omitempty"`
	LagMS     uint64 `json:"lag_ms"`
	Pending   uint64 `json:"records_pending"`
	RTTMS     uint64 `json:"rtt_ms"`
	OffsetMS  int64  `json:"clock_offset_ms"`
}

// toldView is the last view of a peer.
type toldView struct {
	view wire.View
	atMS int64 // monotonic
}

// Views returns what the connected peers have told, by the text of their ids, and asks them again. The answers are
// there at a later call. Peers of earlier releases tell nothing.
func (n *Node) Views(now clock.Reading) map[string]View {
	out := map[string]View{}
	for _, s := range n.all() {
		s.askView(now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.peers {
		if p.view != nil && p.pushes() {
			out[id.String()] = p.view.show(now)
		}
	}
	return out
}

// askView requests the view of a dialer.
func (s *Session) askView(now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Outgoing || s.stage != established || s.view.askedMS != 0 && !after(now, s.view.askedMS, viewEveryMS) {
		return
	}
	s.view.askedMS = now.MonoMS
	s.send(wire.TypeViewRequest, nil)
}

// viewing is the state of a session's requests for views.
type viewing struct {
	askedMS int64 // of an incoming session; monotonic
	due     bool  // of an outgoing one: the peer waits for this node's
}

// viewed keeps the view of a peer. Called with mu held.
func (s *Session) viewed(body []byte, now clock.Reading) error {
	view, err := wire.ParseView(body)
	if err != nil {
		return err
	}
	s.node.mu.Lock()
	s.peer.view = &toldView{view, now.MonoMS}
	s.node.mu.Unlock()
	return nil
}

// tellViews answers the requests that came since the last time. However often peers ask, it is made twice a second at
// most.
func (n *Node) tellViews(now clock.Reading) {
	if !n.viewsDue.Load() {
		return
	}
	n.mu.Lock()
	early := n.viewMS != 0 && !after(now, n.viewMS, viewEveryMS)
	if !early {
		n.viewMS = now.MonoMS
	}
	n.mu.Unlock()
	if early {
		return
	}
	n.viewsDue.Store(false) // before the sessions are looked at: a request may come now
	status := n.Status(now)
	view := status.view()
	body := view.Append(nil)
	for _, s := range n.all() {
		s.mu.Lock()
		if s.view.due && s.stage == established {
			s.view.due = false
			s.send(wire.TypeView, body)
		}
		s.mu.Unlock()
	}
}

// agreements are those of a view in the words of the status.
var agreements = map[string]wire.Agreement{
	"": wire.AgreementNone, saysAlone: wire.AgreementAlone, saysAgree: wire.AgreementAgree,
	saysUnknown: wire.AgreementUnknown, saysFull: wire.AgreementFull, saysDiffer: wire.AgreementDiffer,
}

func agreementText(a wire.Agreement) string {
	for text, number := range agreements {
		if number == a {
			return text
		}
	}
	return ""
}

// view is the part of the status that peers are told, with as many zones and peers as a view has room for.
func (s *Status) view() wire.View {
	v := wire.View{Ready: s.Ready, Agree: s.Agree, OffsetMS: s.OffsetMS}
	for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
		if len(v.Zones) == wire.MaxViewed {
			break
		}
		z := s.Zones[name]
		digest, err := strconv.ParseUint(z.Digest, 16, 64)
		v.Zones = append(v.Zones, wire.ViewedZone{
			Name: name, Agreement: agreements[z.Agreement], Ready: z.Ready, Full: z.Full,
			Comparable: err == nil, Digest: digest, Records: uint64(max(z.RecordsTotal, 0)),
			Pending: uint64(max(z.RecordsPending, 0)), Tombstones: uint64(max(z.Tombstones, 0)),
			Bytes: uint64(max(z.RecordBytes, 0)), Changes: z.Changes,
		})
	}
	for _, p := range s.Peers[:min(len(s.Peers), wire.MaxViewed)] {
		id, err := strconv.ParseUint(p.NodeID, 16, 64)
		if err != nil {
			continue // no id is written in another way
		}
		v.Peers = append(v.Peers, wire.ViewedPeer{
			ID: id, Pushing: p.Pushing, Accepted: p.Accepted, Agreement: agreements[p.worst()],
			LagMS: uint64(max(p.LagMS, 0)), Pending: uint64(max(p.Pending, 0)), RTTMS: uint64(max(p.RTTMS, 0)),
			OffsetMS: p.OffsetMS,
		})
	}
	return v
}

// worst is the worst agreement of the zones of a peer.
func (p *PeerStatus) worst() (state string) {
	for _, a := range p.Digests {
		if agreements[a.State] > agreements[state] {
			state = a.State
		}
	}
	return state
}

// show is a view as the API shows it.
func (t *toldView) show(now clock.Reading) View {
	v := &t.view
	out := View{
		AgeMS: now.MonoMS - t.atMS, Ready: v.Ready, Agree: v.Agree, OffsetMS: v.OffsetMS,
		Zones: map[string]ZoneView{}, Peers: []ViewedPeer{},
	}
	for _, z := range v.Zones {
		shown := ZoneView{
			Pending: z.Pending, Records: z.Records, Ready: z.Ready, Agreement: agreementText(z.Agreement), Full: z.Full,
			Tombstones: z.Tombstones, Bytes: z.Bytes, Changes: z.Changes,
		}
		if z.Comparable {
			shown.Digest = fmt.Sprintf("%016x", z.Digest)
		}
		out.Zones[z.Name] = shown
	}
	for _, p := range v.Peers {
		out.Peers = append(out.Peers, ViewedPeer{
			NodeID: NodeID(p.ID).String(), State: connectedState(p.Pushing, p.Accepted), Pushing: p.Pushing,
			Accepted: p.Accepted, Agreement: agreementText(p.Agreement), LagMS: p.LagMS, Pending: p.Pending,
			RTTMS: p.RTTMS, OffsetMS: p.OffsetMS,
		})
	}
	return out
}
