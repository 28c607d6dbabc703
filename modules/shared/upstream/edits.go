package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"starling/admin"
	servers "starling/upstream"
	"starling/zone/kinds"
)

// record is an edit as a pair of the zone: JSON, whose member "set" is the body that the API got, or would have got to
// the same effect. So what a peer sends is read and checked by the code that reads and checks what a client sends. The
// key of the pair is the name of the upstream, a space, and the key of the edit.
type record struct {
	Upstream string `json:"upstream"`
	Server   string `json:"server"`             // the key of the edit
	Template string `json:"template,omitempty"` // the key of the template, of a server that DNS found
	Did      string `json:"did"`
	Node     string `json:"node"`
	Host     string `json:"host"`
	// Set is absent if the server was removed.
	Set json.RawMessage `json:"set,omitempty"`
}

// The values of Did.
const (
	didAdd    = "added"
	didChange = "changed"
	didRemove = "removed"
)

// Limits of what a peer can send: a node id has 16 bytes, a name of a host at most 255.
const (
	maxNodeBytes     = 64
	maxHostBytes     = 255
	maxUpstreamBytes = 512
	// maxKeyBytes is the name of a server and of its service, or of a template and an address.
	maxKeyBytes = 2*maxNameBytes + 64
)

// pairKey is the key of an edit in the zone. The name of an upstream that is shared has no space.
func pairKey(upstream, key string) []byte { return []byte(upstream + " " + key) }

// cutPairKey is the reverse of pairKey.
func cutPairKey(pair []byte) (upstream, key string, ok bool) { return strings.Cut(string(pair), " ") }

// reader reads records of one side.
type reader struct {
	params      map[string]string // the parameters that only servers of this side have
	defaultPort uint16
}

// read reads a record and returns why it is invalid: as the API would, and also if it does not belong to its key.
func (r *reader) read(pair, value []byte) (rec record, b body, s servers.Settings, err error) {
	if err := json.Unmarshal(value, &rec); err != nil {
		return rec, b, s, fmt.Errorf("it is not a change of a server: %v", err)
	}
	for _, text := range []string{rec.Upstream, rec.Server, rec.Template, rec.Node, rec.Host} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			return rec, b, s, errors.New("it has a control character")
		}
	}
	switch {
	case len(rec.Upstream) > maxUpstreamBytes, len(rec.Server) > maxKeyBytes, len(rec.Template) > maxKeyBytes,
		len(rec.Node) > maxNodeBytes, len(rec.Host) > maxHostBytes:
		return rec, b, s, errors.New("a name in it is too long")
	case strings.Contains(rec.Upstream, " ") || string(pair) != string(pairKey(rec.Upstream, rec.Server)):
		return rec, b, s, errors.New("it is of another server")
	case rec.Template != "" && !strings.HasPrefix(rec.Server, rec.Template+" "):
		return rec, b, s, errors.New("it is of a server of another template")
	case rec.Did == didRemove:
		return rec, b, s, nil
	}
	b, problem := readBody(r.params, rec.Set)
	if problem == nil && rec.Did == didAdd {
		if s, problem = newSettings(&b, r.defaultPort); problem == nil && s.Key() != rec.Server {
			return rec, b, s, errors.New("it adds another server")
		}
	}
	if problem != nil {
		return rec, b, s, errors.New(problem.Text)
	}
	switch {
	case rec.Did != didAdd && rec.Did != didChange:
		return rec, b, s, fmt.Errorf("invalid \"did\" \"%.40s\": it must be added, changed or removed", rec.Did)
	case rec.Did == didChange && (b.server != nil || b.service != nil || b.backup != nil):
		return rec, b, s, errors.New("it sets a parameter that cannot be changed")
	}
	c := b.parameters()
	return rec, b, s, c.Check()
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// check is the gate for what peers and disks bring.
func (r *reader) check(pair, value []byte) error {
	_, _, _, err := r.read(pair, value)
	return err
}

// edit makes an edit of a pair that has passed the check.
func (r *reader) edit(pair kinds.Pair) (*servers.Edit, record, error) {
	rec, b, settings, err := r.read(pair.Key, pair.Value)
	if err != nil {
		return nil, rec, err
	}
	e := &servers.Edit{
		Key: rec.Server, Template: rec.Template, Stamp: pair.Stamp, Node: rec.Node, Host: rec.Host,
		Added: rec.Did == didAdd, Removed: rec.Did == didRemove, Settings: settings, Change: b.parameters(),
	}
	return e, rec, nil
}

// record encodes an edit.
func (r *reader) record(upstream string, e *servers.Edit) (value []byte, err error) {
	rec := record{Upstream: upstream, Server: e.Key, Template: e.Template, Did: didChange, Node: e.Node, Host: e.Host}
	set := r.members(&e.Change)
	switch {
	case e.Removed:
		rec.Did, set = didRemove, nil
	case e.Added:
		rec.Did = didAdd
		name(set, &e.Settings)
	}
	if set != nil {
		if rec.Set, err = json.Marshal(set); err != nil {
			return nil, err
		}
	}
	return json.Marshal(rec)
}

// members are the parameters of a change as the API of this side has them.
func (r *reader) members(c *servers.Change) map[string]any {
	set := map[string]any{}
	for _, p := range c.Parameters() {
		if (p.Name != "route" && p.Name != "drain") || r.params[p.Name] != "" {
			set[p.Name] = p.Value
		}
	}
	return set
}

// name adds the members that a change cannot set.
func name(set map[string]any, s *servers.Settings) {
	set["server"] = s.Name
	if s.Host == "" && !literal(s.Name) { // a name whose addresses were looked up when the configuration was read
		set["server"] = s.Addr.Text
	}
	if s.Service != "" {
		set["service"] = s.Service
	}
	if s.Backup {
		set["backup"] = true
	}
}

// parameters are those of a body that a change can set.
func (b *body) parameters() servers.Change {
	return servers.Change{Weight: b.weight, MaxConns: b.maxConns, MaxFails: b.maxFails, FailTimeout: b.failTimeout,
		SlowStart: b.slowStart, Route: b.route, Down: b.down, Drain: b.drain}
}

// problemOf is an error of the API as an error.
func problemOf(problem *admin.APIError) error {
	if problem == nil {
		return nil
	}
	return errors.New(problem.Text)
}

// parseOwn reads a server as the state file has it.
func (r *reader) parseOwn(text []byte) (servers.Settings, error) {
	b, problem := readBody(r.params, text)
	if problem != nil {
		return servers.Settings{}, problemOf(problem)
	}
	s, problem := newSettings(&b, r.defaultPort)
	return s, problemOf(problem)
}

// own writes a server for parseOwn.
func (r *reader) own(s *servers.Settings) ([]byte, error) {
	c := s.Whole()
	set := r.members(&c)
	name(set, s)
	return json.Marshal(set)
}
