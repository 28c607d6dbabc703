package kinds

// Publish starts to keep a journal in a zone without sync, for the process that replaces this one.
func (b *base) Publish() { b.store.Publish() }

// Unpublish ends that, unless the cluster shares the zone by now.
func (b *base) Unpublish() {
	if !b.shared.Load() {
		b.store.Unpublish()
	}
}

// Publish is that of all zones. Deletions leave tombstones meanwhile, from which the other process learns of them.
func (g *registers) Publish() {
	g.tombstoneMS.Store(TombstoneLifeMS)
	g.base.Publish()
}

// Unpublish ends that. Tombstones stay if the cluster shares the zone, or did: its members need them. They stay too if
// a reload can bring back a state that has what was deleted.
func (g *registers) Unpublish() {
	switch {
	case g.shared.Load():
	case g.sharedUntilMS.Load() != 0 || g.hadState.Load():
		g.store.Withdraw()
	default:
		g.tombstoneMS.Store(0)
		g.base.Unpublish()
	}
}
