package kinds

// Publish starts to keep a journal in a zone without sync, for the process that replaces this one.
func (b *base) Publish() { b.store.Publish() }

// Unpublish ends that.
func (b *base) Unpublish() { b.store.Unpublish() }

// Publish is that of all zones. Deletions leave tombstones meanwhile, from which the other process learns of them.
func (g *registers) Publish() {
	g.tombstoneMS.Store(TombstoneLifeMS)
	g.base.Publish()
}

// Unpublish ends that.
func (g *registers) Unpublish() {
	g.tombstoneMS.Store(0)
	g.base.Unpublish()
}
