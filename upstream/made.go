package upstream

// This file says who changed what of a server of a shared group, and when.

// Made is one change of a server through the API.
type Made struct {
	// AtMS is its time in the cluster. Node and Host say where it was made.
	AtMS       int64
	Node, Host string
	Did        string // DidAdd, DidChange or DidRemove
	// Change has the parameters that a DidChange set.
	Change Change
}

// The values of Made.Did.
const (
	DidAdd    = "added"
	DidChange = "changed"
	DidRemove = "removed"
)

// MaxEarlier bounds the changes of a server that are remembered besides the last: they are in the record of the server.
const MaxEarlier = 4

// after makes an edit one that follows another, nil for none.
func (e *Edit) after(before *Edit, did string, change Change) *Edit {
	e.Did, e.Last = did, change
	if before != nil {
		last := Made{before.Stamp.MS(), before.Node, before.Host, before.Did, before.Last}
		e.Earlier = append([]Made{last}, before.Earlier...)
		e.Earlier = e.Earlier[:min(len(e.Earlier), MaxEarlier)]
	}
	return e
}

// ShownChange is a Made as the API shows it.
type ShownChange struct {
	At   string         `json:"at"`
	Node string         `json:"node"`
	Host string         `json:"host"`
	Did  string         `json:"did"`
	Set  map[string]any `json:"set,omitempty"`
}

// Shown is a change as the API shows it.
func (m *Made) Shown() ShownChange {
	return ShownChange{At: timestamp(m.AtMS), Node: m.Node, Host: m.Host, Did: m.Did, Set: m.Change.Members()}
}

// Before are the changes before the last, as the API shows them, the newest first.
func (e *Edit) Before() (list []ShownChange) {
	for i := range e.Earlier {
		list = append(list, e.Earlier[i].Shown())
	}
	return list
}

// Members are the parameters that a change sets by their names in the API, nil for none.
func (c *Change) Members() map[string]any {
	list := c.Parameters()
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]any, len(list))
	for _, p := range list {
		set[p.Name] = p.Value
	}
	return set
}

// Changed says which changes through the API a server has had, on any node of the cluster.
type Changed struct {
	At    string `json:"at"`
	Node  string `json:"node"`
	Host  string `json:"host"`
	Added bool   `json:"added,omitempty"`
	// Did and Change are what the last change did, and the parameters that it set.
	Did    string         `json:"did"`
	Change map[string]any `json:"change,omitempty"`
	Set    []string       `json:"set"` // the parameters that count instead of those of the configuration
	// Earlier are the changes before, the newest first, at most MaxEarlier.
	Earlier []ShownChange `json:"earlier,omitempty"`
}

func (e *Edit) changed() *Changed {
	if e == nil {
		return nil
	}
	c := &Changed{
		At: e.At(), Node: e.Node, Host: e.Host, Added: e.Added, Did: e.Did, Change: e.Last.Members(), Set: []string{},
		Earlier: e.Before(),
	}
	for _, p := range e.Change.Parameters() {
		c.Set = append(c.Set, p.Name)
	}
	return c
}
