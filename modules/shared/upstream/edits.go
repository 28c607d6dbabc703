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
	// Last is what the last change did, with what it set, unless Did and Set say the same. Earlier are those before.
	Last    *madeRecord  `json:"last,omitempty"`
	Earlier []madeRecord `json:"earlier,omitempty"`
}

// madeRecord is one change of the server, of those that the record remembers.
type madeRecord struct {
	AtMS int64           `json:"ms,omitempty"`
	Node string          `json:"node,omitempty"`
	Host string          `json:"host,omitempty"`
	Did  string          `json:"did"`
	Set  json.RawMessage `json:"set,omitempty"`
}

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
	}
	if _, _, err := r.history(&rec); err != nil || rec.Did == servers.DidRemove {
		return rec, b, s, err
	}
	b, problem := readBody(r.params, rec.Set)
	if problem == nil && rec.Did == servers.DidAdd {
		if s, problem = newSettings(&b, r.defaultPort); problem == nil && s.Key() != rec.Server {
			return rec, b, s, errors.New("it adds another server")
		}
	}
	if problem != nil {
		return rec, b, s, errors.New(problem.Text)
	}
	switch {
	case rec.Did != servers.DidAdd && rec.Did != servers.DidChange:
		return rec, b, s, invalidDid(rec.Did)
	case rec.Did == servers.DidChange && (b.server != nil || b.service != nil || b.backup != nil):
		return rec, b, s, errNotChangeable
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
		Added: rec.Did == servers.DidAdd, Removed: rec.Did == servers.DidRemove, Settings: settings,
		Change: b.parameters(), Did: rec.Did,
	}
	last, earlier, err := r.history(&rec)
	if err != nil {
		return nil, rec, err
	}
	e.Earlier = earlier
	switch {
	case last != nil:
		e.Did, e.Last = last.Did, last.Change
	case rec.Did == servers.DidChange:
		e.Last = e.Change
	}
	return e, rec, nil
}

// history reads the changes that a record remembers. last is nil if the record itself says what it did.
func (r *reader) history(rec *record) (last *servers.Made, earlier []servers.Made, err error) {
	if len(rec.Earlier) > servers.MaxEarlier {
		return nil, nil, fmt.Errorf("it has %d earlier changes, more than %d", len(rec.Earlier), servers.MaxEarlier)
	}
	for i := range rec.Earlier {
		made, err := r.made(&rec.Earlier[i])
		if err != nil {
			return nil, nil, fmt.Errorf("an earlier change: %w", err)
		}
		earlier = append(earlier, made)
	}
	if rec.Last != nil {
		made, err := r.made(rec.Last)
		if err != nil {
			return nil, nil, fmt.Errorf("the last change: %w", err)
		}
		last = &made
	}
	return last, earlier, nil
}

// maxAtMS is the largest time of a change: the year 6429.
const maxAtMS = 1 << 47

func (r *reader) made(m *madeRecord) (made servers.Made, err error) {
	made = servers.Made{AtMS: m.AtMS, Node: m.Node, Host: m.Host, Did: m.Did}
	for _, text := range []string{m.Node, m.Host} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			return made, errors.New("it has a control character")
		}
	}
	switch {
	case len(m.Node) > maxNodeBytes, len(m.Host) > maxHostBytes:
		return made, errors.New("a name in it is too long")
	case m.AtMS < 0 || m.AtMS >= maxAtMS:
		return made, errors.New("its time is invalid")
	case m.Did != servers.DidAdd && m.Did != servers.DidChange && m.Did != servers.DidRemove:
		return made, invalidDid(m.Did)
	case len(m.Set) == 0:
		return made, nil
	}
	b, problem := readBody(r.params, m.Set)
	if problem != nil {
		return made, errors.New(problem.Text)
	}
	if b.server != nil || b.service != nil || b.backup != nil {
		return made, errNotChangeable
	}
	made.Change = b.parameters()
	return made, made.Change.Check()
}

var errNotChangeable = errors.New("it sets a parameter that cannot be changed")

func invalidDid(did string) error {
	return fmt.Errorf("invalid \"did\" \"%.40s\": it must be added, changed or removed", did)
}

// record encodes an edit.
func (r *reader) record(upstream string, e *servers.Edit) (value []byte, err error) {
	rec := record{
		Upstream: upstream, Server: e.Key, Template: e.Template, Did: servers.DidChange, Node: e.Node, Host: e.Host,
	}
	set := r.members(&e.Change)
	switch {
	case e.Removed:
		rec.Did, set = servers.DidRemove, nil
	case e.Added:
		rec.Did = servers.DidAdd
		name(set, &e.Settings)
	}
	if set != nil {
		if rec.Set, err = json.Marshal(set); err != nil {
			return nil, err
		}
	}
	if err := r.remember(&rec, e); err != nil {
		return nil, err
	}
	return json.Marshal(rec)
}

// remember adds to a record who made which changes.
func (r *reader) remember(rec *record, e *servers.Edit) error {
	last, err := r.madeRecord(&servers.Made{Did: e.Did, Change: e.Last})
	if err != nil {
		return err
	}
	isSame := e.Did == rec.Did && (rec.Did != servers.DidChange || string(last.Set) == string(rec.Set))
	if e.Did != "" && !isSame {
		rec.Last = &last
	}
	for i := range e.Earlier {
		made, err := r.madeRecord(&e.Earlier[i])
		if err != nil {
			return err
		}
		rec.Earlier = append(rec.Earlier, made)
	}
	return nil
}

func (r *reader) madeRecord(m *servers.Made) (rec madeRecord, err error) {
	rec = madeRecord{AtMS: m.AtMS, Node: m.Node, Host: m.Host, Did: m.Did}
	if set := r.members(&m.Change); len(set) > 0 {
		rec.Set, err = json.Marshal(set)
	}
	return rec, err
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
