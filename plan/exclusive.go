package plan

// Exclusive is a file that only one process may write. While the binary is replaced, the old and the new process pass
// it to each other.
type Exclusive interface {
	// Yield closes the file, complete. From then on this process does not write to it: persist waits until the other
	// process has on disk what this one has changed so far.
	Yield(persist func() error) error
	// Seize opens the file that the other process has closed, and adopts what is in it: that process may have been
	// killed right after a write. What this process knows is in it soon. It does nothing if this process has the file.
	Seize() error
	// Persist waits until all that this process knows is on disk.
	Persist() error
}

// OnExclusive adds a file that only one process may write. If the plan is a Successor, it must not be written before
// Seize.
func (p *Plan) OnExclusive(x Exclusive) { p.only = append(p.only, x) }

// Exclusives are these files.
func (p *Plan) Exclusives() []Exclusive { return p.only }
